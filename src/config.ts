import * as v from 'valibot'
import type { ClientLimits } from './auth/clients.ts'
import { AppError, quote } from './errors.ts'
import { defaultHubOptions, type HubOptions } from './hub/hub.ts'
import { defaultLogOptions, type LogOptions } from './log/log.ts'

/** Everything that can be set, parsed. */
export interface Config {
  readonly port: number
  readonly host: string
  /** Where the log is: `memory:`, `sqlite:PATH`. */
  readonly log: string
  /** Serve others than this machine although nobody has to say who they are. */
  readonly open: boolean
  readonly body: { readonly maxBodyBytes: number; readonly bodyTimeoutMs: number }
  /** Most messages of one list. */
  readonly maxBatch: number
  /** Bounds of a body that is published as it streams in. */
  readonly stream: { readonly maxStreamItems: number; readonly streamIdleMs: number; readonly maxStreamMs: number }
  readonly clients: ClientLimits
  readonly hub: HubOptions
  readonly logOptions: LogOptions
}

const KIB = 1024
const MIB = KIB * KIB
const DAY_MS = 24 * 3_600_000

/** Environment variables: what each is for, its default as one would write it, and its schema. */
export const settings = {
  PORT: setting('port to listen on; 0 takes a free one', '3000', whole(0, 65_535)),
  HOST: setting(
    'address to listen on; others than loopback need OPEN=true',
    '127.0.0.1',
    text(/^[\w.:%-]+$/, 'an address or a host name'),
  ),
  LOG: setting(
    'where everything published is kept: memory: or sqlite:PATH',
    'sqlite:./data/tidings.db',
    text(/^(memory:|sqlite:.+)$/, 'memory: or sqlite:PATH'),
  ),
  OPEN: setting('true serves everybody who can reach HOST, without asking who they are', 'false', yesOrNo()),
  RETENTION_COUNT: setting('entries kept in the whole log; 100000 with LOG=memory:', '1000000', whole(1)),
  RETENTION_BYTES: setting('bytes of entries kept in the whole log; 64MiB with LOG=memory:', '1GiB', bytes(KIB)),
  RETENTION_AGE: setting('age after which entries go; none keeps them', 'none', optional(duration(1000))),
  TOPIC_RETENTION_COUNT: setting('entries kept of any one topic', 'none', optional(whole(1))),
  TOPIC_RETENTION_BYTES: setting('bytes of entries kept of any one topic', 'none', optional(bytes(1))),
  KEY_COUNT: setting('idempotency keys remembered', '1000000', whole(1)),
  KEY_AGE: setting('how long an idempotency key is remembered', '24h', duration(1000)),
  MAX_BODY_BYTES: setting('longest request body, or item of one that streams', '64KiB', bytes(KIB, 64 * MIB)),
  BODY_TIMEOUT: setting('how long a request body may take to come, unless it streams', '30s', duration(100, DAY_MS)),
  MAX_EVENT_BYTES: setting(
    'longest data of one event; some clients fail at lines of more than 64 KiB',
    '60KiB',
    bytes(1, 64 * MIB),
  ),
  MAX_BATCH: setting('messages of one list', '1000', whole(1, 100_000)),
  MAX_STREAM_ITEMS: setting('items of one body that is published as it streams in', '1000000', whole(1)),
  STREAM_IDLE: setting('how long such a body may be silent', '60s', duration(100, DAY_MS)),
  MAX_STREAM_TIME: setting('how long it may take in all', '1h', duration(100, DAY_MS)),
  MAX_TOPICS: setting('topics and patterns of one stream', '100', whole(1, 10_000)),
  MAX_TOPIC_BYTES: setting('longest topic or pattern', '200', bytes(1, 200)),
  MAX_READERS: setting('open streams', '50000', whole(1)),
  MAX_READERS_PER_ADDRESS: setting(
    'open streams of one client address; 1000 with OPEN=true',
    'none',
    optional(whole(1)),
  ),
  PUBLISH_RATE: setting('messages a second of one client address; 1000 with OPEN=true', 'none', optional(whole(1))),
  MAX_REPLAYS: setting('readers that are given history from the log at once', '1000', whole(1)),
  REPLAY_RATE: setting('events a second that one reader is given from the log', '50000', whole(100)),
  MAX_CHUNK_BYTES: setting('most bytes given to a reader at once', '64KiB', bytes(KIB, 16 * MIB)),
  WINDOW_COUNT: setting('newest entries kept in memory for readers to catch up from', '10000', whole(1, 10_000_000)),
  WINDOW_BYTES: setting('bytes of entries kept in memory for the same', '8MiB', bytes(KIB)),
  HEARTBEAT: setting('silence after which a stream says that it is alive', '15s', duration(100, DAY_MS)),
  LIFETIME: setting('age at which a stream is ended, ± 20 %; its reader resumes', '15m', duration(1000, DAY_MS)),
  STALL: setting('how long a reader may not take what it was sent before it is cut off', '30s', duration(100, DAY_MS)),
  RETRY: setting('after how long clients are told to reconnect', '3s', duration(500, 3_600_000)),
}

type Setting = keyof typeof settings

/** What is safe to keep on a disk is not in memory. */
const memoryInitials: Partial<Record<Setting, string>> = { RETENTION_COUNT: '100000', RETENTION_BYTES: '64MiB' }

/** Who lets everybody in bounds each. On loopback, and behind a proxy there, all have one address. */
const openInitials: Partial<Record<Setting, string>> = { MAX_READERS_PER_ADDRESS: '1000', PUBLISH_RATE: '1000' }

/**
 * Reads the settings from environment variables; empty ones count as missing. Nobody else reads the environment.
 *
 * @throws AppError `config_invalid` that lists every mistake, with what was expected
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>> = {}): Config {
  const mistakes: string[] = []
  const get = <Name extends Setting>(name: Name): v.InferOutput<(typeof settings)[Name]['schema']> => {
    const { schema, initial } = settings[name]
    const fallbacks = { ...(env.LOG === 'memory:' && memoryInitials), ...(env.OPEN === 'true' && openInitials) }
    const found = v.safeParse(schema, env[name] || (fallbacks[name] ?? initial))
    if (!found.success) mistakes.push(`${name}=${quote(env[name]!)}: expected ${found.issues[0].message}`)
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
    body: { maxBodyBytes: get('MAX_BODY_BYTES'), bodyTimeoutMs: get('BODY_TIMEOUT') },
    maxBatch: get('MAX_BATCH'),
    stream: {
      maxStreamItems: get('MAX_STREAM_ITEMS'),
      streamIdleMs: get('STREAM_IDLE'),
      maxStreamMs: get('MAX_STREAM_TIME'),
    },
    clients: present({
      maxReadersPerAddress: get('MAX_READERS_PER_ADDRESS'),
      publishRate: get('PUBLISH_RATE'),
    }),
    hub: {
      ...defaultHubOptions,
      maxEventBytes: get('MAX_EVENT_BYTES'),
      maxTopics: get('MAX_TOPICS'),
      maxTopicBytes: get('MAX_TOPIC_BYTES'),
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
    },
  }
  if (mistakes.length === 0 && !config.open && !isLoopback(config.host))
    mistakes.push(
      `HOST=${quote(config.host)}: expected a loopback address (127.0.0.1, ::1, localhost), or OPEN=true to serve everybody who can reach it`,
    )
  if (mistakes.length > 0)
    throw new AppError(
      'config_invalid',
      `Cannot start: ${mistakes.length === 1 ? 'a setting is' : `${mistakes.length} settings are`} wrong\n  ${mistakes.join('\n  ')}`,
    )
  return config
}

/** The bounds that there are. */
function present<Bounds extends Record<string, number | undefined>>(
  bounds: Bounds,
): { [Name in keyof Bounds]?: number } {
  return Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound !== undefined)) as Bounds
}

/** Whether a host name or address can only mean this machine. */
export function isLoopback(host: string): boolean {
  return /^(localhost|(.+\.)?localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)
}

function setting<Schema extends v.GenericSchema<string, unknown>>(says: string, initial: string, schema: Schema) {
  return { says, initial, schema }
}

function text(pattern: RegExp, expected: string) {
  return v.pipe(v.string(), v.regex(pattern, expected))
}

function yesOrNo() {
  return v.pipe(
    v.string(),
    v.regex(/^(true|false)$/, 'true or false'),
    v.transform((given) => given === 'true'),
  )
}

function whole(min: number, max = Number.MAX_SAFE_INTEGER) {
  return measure(`a whole number ${between(min, max, String)}`, { '': 1 }, min, max)
}

function bytes(min: number, max = Number.MAX_SAFE_INTEGER) {
  const units = { '': 1, KiB: KIB, MiB: MIB, GiB: KIB * MIB }
  return measure(`a size like 64KiB, 16MiB or 1GiB, ${between(min, max, (n) => `${n}`)} bytes`, units, min, max)
}

function duration(min: number, max = Number.MAX_SAFE_INTEGER) {
  const units = { '': 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS }
  return measure(`a time like 500ms, 15s, 10m, 2h or 7d, ${between(min, max, (n) => `${n}`)} ms`, units, min, max)
}

function measure(expected: string, units: Readonly<Record<string, number>>, min: number, max: number) {
  return v.pipe(
    v.string(),
    v.regex(new RegExp(`^\\d{1,16}(${Object.keys(units).join('|')})$`), expected),
    v.transform((given) => Number.parseInt(given, 10) * units[given.replace(/^\d+/, '')]!),
    v.minValue(min, expected),
    v.maxValue(max, expected),
  )
}

function optional<Schema extends v.GenericSchema<string, number>>(schema: Schema) {
  return v.union(
    [
      v.pipe(
        v.literal('none'),
        v.transform(() => undefined),
      ),
      schema,
    ],
    (issue) => `none, or ${(issue as { issues?: { message: string }[] }).issues?.at(-1)?.message ?? 'a number'}`,
  )
}

function between(min: number, max: number, say: (n: number) => string): string {
  return max === Number.MAX_SAFE_INTEGER ? `of at least ${say(min)}` : `from ${say(min)} to ${say(max)}`
}
