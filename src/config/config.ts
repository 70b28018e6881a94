import type * as v from 'valibot'
import type { ClientLimits } from '../auth/clients.ts'
import { type AuthOptions, hasKeys, withoutLineEnd } from '../auth/options.ts'
import { quote } from '../errors.ts'
import { defaultHubOptions, type HubOptions } from '../hub/options.ts'
import { defaultLogOptions, type LogOptions } from '../log/log.ts'
import { isLoopback } from './loopback.ts'
import { Reading } from './reading.ts'
import { memoryDefaults, openDefaults, type Setting, secrets, settings, withSecrets } from './settings.ts'
import { type LogUrls, logUrl } from './values.ts'

/**
 * The parsed settings.
 *
 * @example
 * const config: Config = parseConfig({ PORT: '0' })
 * const { port, host } = config
 */
export interface Config {
  readonly port: number
  readonly host: string
  /** How long a connection stays open between two requests. */
  readonly keepAliveMs: number
  /** The URL of the log, which may contain a password; `adapters/logs.ts` lists what it may be. */
  readonly log: string
  /** The path under which clients reach the hub, if a proxy strips this path. */
  readonly basePath?: string
  /** Serve clients of other machines without credentials. */
  readonly open: boolean
  readonly body: { readonly maxBodyBytes: number; readonly bodyTimeoutMs: number }
  /** Most messages of one batch. */
  readonly maxBatch: number
  /** Limits of streamed bodies. */
  readonly stream: { readonly maxStreamItems: number; readonly streamIdleMs: number; readonly maxStreamMs: number }
  /** Most streamed bodies at once. */
  readonly streamedBodies: { readonly max: number; readonly maxPerAddress?: number; readonly maxPerToken: number }
  readonly clients: ClientLimits
  /** Origins whose pages may use this hub, as browsers send them. */
  readonly corsOrigins: readonly string[]
  /** Request headers that those pages may send, beside the ones that the hub and tracing libraries use. */
  readonly corsHeaders: readonly string[]
  /** Which requests and ends of streams get a line in the output. */
  readonly requestLog: 'all' | 'refused' | 'none'
  /** How topic streams are written. */
  readonly carrier: 'native' | 'stream'
  /** Publish sample messages before listening, so that the code that handles messages is compiled. */
  readonly warmUp: boolean
  /** Share of the heap, 0…1, above which new streams and streamed bodies are refused. */
  readonly heapWatermark: number
  readonly auth: AuthOptions
  readonly hub: HubOptions
  readonly logOptions: LogOptions
}

/**
 * Parses the settings from environment variables. An empty variable counts as missing.
 *
 * @param given the variables; this function does not read the environment of the process
 * @param logs kinds of logs that `LOG` may name; if left out, `LOG` is not checked
 * @param defaults those of a platform, in the place of those of `settings`
 * @throws AppError `config_invalid`: lists every mistake, with the expected value
 * @example
 * const app = createApp({ hub, config: parseConfig({ OPEN: 'true', PUBLISH_RATE: '100' }) })
 */
export function parseConfig(
  given: Environment = {},
  logs?: LogUrls,
  defaults: Partial<Record<Setting, string>> = {},
): Config {
  return parse(given, asVariables(defaults), logs)
}

/** How settings are written, and what stands beside them. */
export interface Setup {
  /** The name of a setting as its author has written it. */
  readonly nameOf: (name: Setting) => string
  /** Whether the sessions of a host grant access, so that keys are not the only way to do so. */
  readonly hasSessions: boolean
  /** Those of a platform, in the place of those of `settings`. */
  readonly defaults?: Partial<Record<Setting, string>>
}

/** Settings that are environment variables. */
export function asVariables(defaults: Partial<Record<Setting, string>>): Setup {
  return { nameOf: (name) => name, hasSessions: false, defaults }
}

/** Parses settings of any origin. @throws AppError `config_invalid` */
export function parse(given: Environment, setup: Setup, logs?: LogUrls): Config {
  const reading = new Reading()
  const config = configOf(reading, given, setup, logs)
  reading.end()
  return config
}

/** Reads the settings that all runtimes have. If there are mistakes, the config must not be used. */
export function configOf(reading: Reading, given: Environment, setup: Setup, logs?: LogUrls): Config {
  const { nameOf, defaults } = setup
  const env = { ...given, ...secretsOf(given) }
  const otherDefaults = {
    ...defaults,
    ...(env.LOG === 'memory:' && memoryDefaults),
    ...(env.OPEN === 'true' && openDefaults),
  }
  const get = <Name extends Setting>(name: Name): v.InferOutput<(typeof settings)[Name]['schema']> => {
    const defaultText = otherDefaults[name] ?? settings[name].defaultText
    const schema = name === 'LOG' ? logUrl(logs) : settings[name].schema
    const isSecret = secrets.includes(name) || (name === 'LOG' && env.LOG?.includes('@'))
    return reading.get(nameOf(name), { schema, defaultText }, env[name], isSecret)
  }
  const retention = {
    count: get('RETENTION_COUNT'),
    bytes: get('RETENTION_BYTES'),
    ageMs: get('RETENTION_AGE'),
    topicCount: get('TOPIC_RETENTION_COUNT'),
    topicBytes: get('TOPIC_RETENTION_BYTES'),
  }
  const config: Config = {
    port: get('PORT'),
    host: get('HOST'),
    keepAliveMs: get('KEEP_ALIVE'),
    log: get('LOG'),
    open: get('OPEN'),
    ...defined({ basePath: get('BASE_PATH') }),
    body: { maxBodyBytes: get('MAX_BODY_BYTES'), bodyTimeoutMs: get('BODY_TIMEOUT') },
    maxBatch: get('MAX_BATCH'),
    stream: {
      maxStreamItems: get('MAX_STREAM_ITEMS'),
      streamIdleMs: get('STREAM_IDLE'),
      maxStreamMs: get('MAX_STREAM_TIME'),
    },
    streamedBodies: {
      max: get('MAX_STREAMED_BODIES'),
      maxPerToken: get('MAX_STREAMED_BODIES_PER_TOKEN'),
      ...defined({ maxPerAddress: get('MAX_STREAMED_BODIES_PER_ADDRESS') }),
    },
    auth: {
      ...defined({
        secret: get('AUTH_SECRET'),
        publicKey: get('AUTH_PUBLIC_KEY'),
        jwksUrl: get('AUTH_JWKS_URL'),
        issuer: get('AUTH_ISSUER'),
        audience: get('AUTH_AUDIENCE'),
      }),
      maxTokenMs: get('AUTH_MAX_TTL'),
      reloadMs: get('AUTH_RELOAD'),
      maxStreamsPerToken: get('MAX_READERS_PER_TOKEN'),
      apiKeys: get('API_KEYS'),
      cookieName: get('COOKIE_NAME'),
      anonymous: { publish: get('ANONYMOUS_PUBLISH'), subscribe: get('ANONYMOUS_SUBSCRIBE') },
    },
    clients: defined({
      maxReadersPerAddress: get('MAX_READERS_PER_ADDRESS'),
      publishRate: get('PUBLISH_RATE'),
      trustedProxies: get('TRUSTED_PROXIES'),
    }),
    corsOrigins: get('CORS_ORIGINS') ?? [],
    corsHeaders: get('CORS_HEADERS') ?? [],
    requestLog: get('REQUEST_LOG'),
    carrier: get('CARRIER'),
    warmUp: get('WARM_UP'),
    heapWatermark: get('HEAP_WATERMARK') / 100,
    hub: {
      ...defaultHubOptions,
      maxEventBytes: get('MAX_EVENT_BYTES'),
      maxTopics: get('MAX_TOPICS'),
      maxTopicBytes: get('MAX_TOPIC_BYTES'),
      maxTopicSegments: get('MAX_TOPIC_SEGMENTS'),
      maxPatternSegments: get('MAX_PATTERN_SEGMENTS'),
      maxReaders: get('MAX_READERS'),
      maxReplays: get('MAX_REPLAYS'),
      replayRate: get('REPLAY_RATE'),
      maxChunkBytes: get('MAX_CHUNK_BYTES'),
      windowCount: get('WINDOW_COUNT'),
      windowBytes: get('WINDOW_BYTES'),
      heartbeatMs: get('HEARTBEAT'),
      lifetimeMs: get('LIFETIME'),
      stallMs: get('STALL'),
      retryMs: get('RETRY'),
    },
    logOptions: {
      ...defaultLogOptions,
      retention: defined(retention),
      keyCount: get('KEY_COUNT'),
      keyAgeMs: get('KEY_AGE'),
      maxPendingBytes: get('MAX_PENDING_BYTES'),
      closedAgeMs: get('CLOSED_AGE'),
      closedCount: get('CLOSED_COUNT'),
      maxRuns: get('MAX_RUNS'),
      ...defined({ newEpoch: get('NEW_EPOCH') }),
    },
  }
  if (reading.mistakes.length === 0) reading.mistakes.push(...contradictions(config, setup))
  return config
}

type Environment = Readonly<Record<string, string | undefined>>

/** Returns the secrets without a line end, which a file may have added. A secret that is only a line end stays, and is a mistake. */
function secretsOf(env: Environment): Environment {
  return Object.fromEntries(withSecrets.map((name) => [name, env[name] && (withoutLineEnd(env[name]) || env[name])]))
}

const KEYS = ['AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'AUTH_JWKS_URL', 'API_KEYS'] as const

/** Describes settings that contradict each other. */
function contradictions({ open, host, auth }: Config, { nameOf, hasSessions }: Setup): string[] {
  const anonymous = `${nameOf('ANONYMOUS_PUBLISH')} and ${nameOf('ANONYMOUS_SUBSCRIBE')}`
  if (hasSessions)
    return open ? [`${nameOf('OPEN')}: expected false beside grantOf: ${anonymous} open parts of the hub`] : []
  if (hasKeys(auth))
    return open
      ? [`${nameOf('OPEN')}="true": expected false with keys: ${anonymous} open parts of a hub with keys`]
      : []
  const { publish, subscribe } = auth.anonymous
  if (publish.length + subscribe.length > 0)
    return [`${anonymous}: expected keys too (${KEYS.map(nameOf).join(', ')}): a hub without keys is open`]
  if (open || isLoopback(host)) return []
  const loopback = 'a loopback address (127.0.0.1, ::1, localhost)'
  return [
    `HOST=${quote(host)}: expected ${loopback}, or OPEN=true to serve every client that can reach it, or keys that grant access`,
  ]
}

/** Leaves out the fields that are undefined. */
function defined<Fields extends Record<string, unknown>>(fields: Fields) {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof Fields]?: NonNullable<Fields[Name]> }
}
