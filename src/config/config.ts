import * as v from 'valibot'
import type { ClientLimits } from '../auth/clients.ts'
import { type AuthOptions, isClosed } from '../auth/options.ts'
import { AppError, quote } from '../errors.ts'
import { defaultHubOptions, type HubOptions } from '../hub/options.ts'
import { defaultLogOptions, type LogOptions } from '../log/log.ts'
import { isLoopback } from './loopback.ts'
import { memoryInitials, openInitials, type Setting, secrets, settings } from './settings.ts'
import { type LogUrls, logUrl } from './values.ts'

/** Everything that can be set, parsed. */
export interface Config {
  readonly port: number
  readonly host: string
  /** The URL of the log, which may hold a password; `adapters/logs.ts` lists what it may be. */
  readonly log: string
  /** The path under which clients reach the hub, where a proxy strips it. */
  readonly basePath?: string
  /** Serve others than this machine although nobody has to say who they are. */
  readonly open: boolean
  readonly body: { readonly maxBodyBytes: number; readonly bodyTimeoutMs: number; readonly maxFormValues: number }
  /** Most messages of one list. */
  readonly maxBatch: number
  /** Bounds of a body that is published as it streams in. */
  readonly stream: { readonly maxStreamItems: number; readonly streamIdleMs: number; readonly maxStreamMs: number }
  readonly clients: ClientLimits
  /** Origins whose pages may use this hub, as a browser says them. */
  readonly corsOrigins: readonly string[]
  /** Which requests the log tells of. */
  readonly requestLog: 'all' | 'refused' | 'none'
  /** What writes the streams of topics. */
  readonly carrier: 'native' | 'stream'
  /** Before it listens, run what messages go through until it is compiled. */
  readonly warmUp: boolean
  /** Part of the heap that is taken when new streams are turned away. */
  readonly heapWatermark: number
  readonly auth: AuthOptions
  readonly hub: HubOptions
  readonly logOptions: LogOptions
}

/**
 * Reads the settings from environment variables; empty ones count as missing. Nobody else reads the environment.
 *
 * @param logs kinds of logs that `LOG` may name; without them `LOG` is not checked
 * @throws AppError `config_invalid` that lists every mistake, with what was expected
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>> = {}, logs?: LogUrls): Config {
  const mistakes: string[] = []
  const get = <Name extends Setting>(name: Name): v.InferOutput<(typeof settings)[Name]['schema']> => {
    const { initial } = settings[name]
    const schema = name === 'LOG' ? logUrl(logs) : settings[name].schema
    const fallbacks = { ...(env.LOG === 'memory:' && memoryInitials), ...(env.OPEN === 'true' && openInitials) }
    const found = v.safeParse(schema, env[name] || (fallbacks[name] ?? initial))
    const mayShow = !secrets.includes(name) && !(name === 'LOG' && env.LOG?.includes('@'))
    const given = !mayShow ? '' : `=${quote(env[name] ?? '')}`
    if (!found.success) mistakes.push(`${name}${given}: expected ${found.issues[0].message}`)
    return found.output as v.InferOutput<(typeof settings)[Name]['schema']>
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
    log: get('LOG'),
    open: get('OPEN'),
    ...present({ basePath: get('BASE_PATH') }),
    body: {
      maxBodyBytes: get('MAX_BODY_BYTES'),
      bodyTimeoutMs: get('BODY_TIMEOUT'),
      maxFormValues: get('MAX_TOPICS') + 100, // a form may ask for that many
    },
    maxBatch: get('MAX_BATCH'),
    stream: {
      maxStreamItems: get('MAX_STREAM_ITEMS'),
      streamIdleMs: get('STREAM_IDLE'),
      maxStreamMs: get('MAX_STREAM_TIME'),
    },
    auth: {
      ...present({
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
    clients: present({
      maxReadersPerAddress: get('MAX_READERS_PER_ADDRESS'),
      publishRate: get('PUBLISH_RATE'),
      trustedProxies: get('TRUSTED_PROXIES'),
    }),
    corsOrigins: get('CORS_ORIGINS') ?? [],
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
      retention: present(retention),
      keyCount: get('KEY_COUNT'),
      keyAgeMs: get('KEY_AGE'),
      ...present({ newEpoch: get('NEW_EPOCH') }),
    },
  }
  if (mistakes.length === 0) mistakes.push(...contradictions(config))
  if (mistakes.length > 0)
    throw new AppError(
      'config_invalid',
      `Cannot start: ${mistakes.length === 1 ? 'a setting is' : `${mistakes.length} settings are`} wrong\n  ${mistakes.join('\n  ')}`,
    )
  return config
}

/** What cannot be meant. */
function contradictions({ open, host, auth }: Config): string[] {
  if (isClosed(auth)) {
    const why = 'expected false with keys: ANONYMOUS_PUBLISH and ANONYMOUS_SUBSCRIBE open parts of a hub that has them'
    return open ? [`OPEN="true": ${why}`] : []
  }
  const { publish, subscribe } = auth.anonymous
  if (publish.length + subscribe.length > 0)
    return [
      'ANONYMOUS_…: expected keys beside it (AUTH_SECRET, AUTH_PUBLIC_KEY, AUTH_JWKS_URL or API_KEYS): a hub without is open',
    ]
  if (open || isLoopback(host)) return []
  const loopback = 'a loopback address (127.0.0.1, ::1, localhost)'
  return [
    `HOST=${quote(host)}: expected ${loopback}, or OPEN=true to serve everybody who can reach it, or keys that say who may`,
  ]
}

/** The bounds that there are. */
function present<Bounds extends Record<string, unknown>>(bounds: Bounds) {
  const there = Object.entries(bounds).filter(([, bound]) => bound !== undefined)
  return Object.fromEntries(there) as { [Name in keyof Bounds]?: NonNullable<Bounds[Name]> }
}
