import * as v from 'valibot'
import { parseTrusted } from './auth/address.ts'
import type { ClientLimits } from './auth/clients.ts'
import { type ApiKey, type AuthOptions, isClosed } from './auth/options.ts'
import { AppError, quote } from './errors.ts'
import { defaultHubOptions, type HubOptions } from './hub/hub.ts'
import { defaultLogOptions, type LogOptions } from './log/log.ts'
import { Filter } from './topic.ts'

/** Everything that can be set, parsed. */
export interface Config {
  readonly port: number
  readonly host: string
  /** Where the log is: `memory:`, `sqlite:PATH`, `redis://…/HUB`. It may hold a password. */
  readonly log: string
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
    'where everything published is kept: memory:, sqlite:PATH, or redis://HOST:PORT/HUB (rediss:// with TLS)',
    'sqlite:./data/tidings.db',
    text(
      /^(memory:|sqlite:.+|rediss?:\/\/[^/]+(\/[\w.~-]{1,100})?)$/,
      'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB, with USER:PASSWORD@ before the host if it asks for them',
    ),
  ),
  OPEN: setting('true serves everybody who can reach HOST, without asking who they are', 'false', yesOrNo()),
  AUTH_SECRET: setting(
    'secret of at least 32 bytes that tokens are signed with (HS256)',
    'none',
    optionalText(isLong, 'at least 32 bytes'),
  ),
  AUTH_PUBLIC_KEY: setting(
    'public key that tokens are signed for: PEM or JWK',
    'none',
    optionalText((given) => /^\s*(\{|-----BEGIN PUBLIC KEY-----)/.test(given), 'a PEM (BEGIN PUBLIC KEY) or a JWK'),
  ),
  AUTH_JWKS_URL: setting('where the set of such keys is', 'none', optionalText(isSafeUrl, 'an https: URL')),
  AUTH_ISSUER: setting(
    'iss that a token must have',
    'none',
    optionalText(() => true, 'a text'),
  ),
  AUTH_AUDIENCE: setting(
    'aud that a token must have',
    'none',
    optionalText(() => true, 'a text'),
  ),
  AUTH_MAX_TTL: setting('longest time that a token may have left', '24h', duration(1000, 30 * DAY_MS)),
  AUTH_RELOAD: setting('after how long keys are looked at again', '1m', duration(1000, DAY_MS)),
  API_KEYS: setting(
    'keys for servers and scripts: name:sha256:publish,…:subscribe,…, one a line or a space apart',
    'none',
    apiKeys(),
  ),
  ANONYMOUS_PUBLISH: setting('topics and patterns for those who show nothing, of a hub with keys', 'none', patterns()),
  ANONYMOUS_SUBSCRIBE: setting('the same for subscribing', 'none', patterns()),
  CORS_ORIGINS: setting('origins whose pages may use this hub, with commas between them', 'none', origins()),
  TRUSTED_PROXIES: setting('addresses and CIDR ranges of proxies whose X-Forwarded-For is believed', 'none', proxies()),
  REQUEST_LOG: setting(
    'which requests are logged, a JSON line each: all, refused or none',
    'refused',
    v.picklist(['all', 'refused', 'none'], 'all, refused or none'),
  ),
  HEAP_WATERMARK: setting(
    'percent of the heap that is taken when new streams are turned away; Bun and Workers tell of no bound',
    '85',
    whole(1, 100),
  ),
  MAX_READERS_PER_TOKEN: setting('open streams of one subject of tokens, or one API key', '100', whole(1)),
  RETENTION_COUNT: setting('entries kept in the whole log; 100000 with LOG=memory:', '1000000', whole(1)),
  RETENTION_BYTES: setting('bytes of entries kept in the whole log; 64MiB with LOG=memory:', '1GiB', bytes(KIB)),
  RETENTION_AGE: setting('age after which entries go; none keeps them', 'none', optional(duration(1000))),
  TOPIC_RETENTION_COUNT: setting('entries kept of any one topic', 'none', optional(whole(1))),
  TOPIC_RETENTION_BYTES: setting('bytes of entries kept of any one topic', 'none', optional(bytes(1))),
  // A used ticket is remembered as a key.
  KEY_COUNT: setting('idempotency keys remembered: 10000 and more', '1000000', whole(10_000)),
  KEY_AGE: setting('how long an idempotency key is remembered: two minutes and more', '24h', duration(120_000)),
  NEW_EPOCH: setting(
    'begin a new epoch once for each new text, after a restore that the hub cannot see',
    'none',
    optionalText((given) => given.length <= 200, 'a text of at most 200 characters'),
  ),
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
  MAX_TOPICS: setting('topics and patterns of one stream; a form has at most 100 values more', '100', whole(1, 10_000)),
  MAX_TOPIC_BYTES: setting('longest topic or pattern', '200', bytes(1, 200)),
  MAX_TOPIC_SEGMENTS: setting('most segments of one', '10', whole(1, 100)),
  MAX_READERS: setting('open streams', '50000', whole(1)),
  MAX_READERS_PER_ADDRESS: setting(
    'open streams of one client address; 1000 with OPEN=true',
    'none',
    optional(whole(1)),
  ),
  PUBLISH_RATE: setting('messages a second of one client address; 1000 with OPEN=true', 'none', optional(whole(1))),
  MAX_REPLAYS: setting('readers that are given history from the log at once', '1000', whole(1)),
  REPLAY_RATE: setting('events a second that one reader is given from the log', '10000', whole(100)),
  CARRIER: setting(
    'what writes streams: native is what the runtime does best, stream is portable',
    'native',
    v.picklist(['native', 'stream'], 'native or stream'),
  ),
  WARM_UP: setting('before Node listens, run what messages go through until it is compiled', 'true', yesOrNo()),
  MAX_CHUNK_BYTES: setting('most bytes given to a reader at once', '64KiB', bytes(KIB, 16 * MIB)),
  WINDOW_COUNT: setting('newest entries kept in memory for readers to catch up from', '10000', whole(1, 10_000_000)),
  WINDOW_BYTES: setting('bytes of entries kept in memory for the same', '8MiB', bytes(KIB)),
  HEARTBEAT: setting('silence after which a stream says that it is alive', '15s', duration(100, DAY_MS)),
  LIFETIME: setting('age at which a stream is ended, ± 20 %; its reader resumes', '15m', duration(1000, DAY_MS)),
  STALL: setting('how long a reader may not take what it was sent before it is cut off', '30s', duration(100, DAY_MS)),
  RETRY: setting('after how long clients are told to reconnect', '3s', duration(500, 3_600_000)),
}

type Setting = keyof typeof settings

/** What is told to nobody, wrong or not. */
const secrets: readonly Setting[] = ['AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'API_KEYS']

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

function optionalText(isGood: (given: string) => boolean, expected: string) {
  return v.union([absent(), v.pipe(v.string(), v.check(isGood, expected))], expected)
}

function absent() {
  return v.pipe(
    v.literal('none'),
    v.transform(() => undefined),
  )
}

function isLong(secret: string): boolean {
  return new TextEncoder().encode(secret).byteLength >= 32
}

function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

function origins() {
  const expected = 'origins like https://app.example, with commas between them, never * or null'
  const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text && !/[*]|^null$/.test(text)
  return list(isOrigin, expected)
}

function proxies() {
  const isRange = (text: string) => {
    try {
      return parseTrusted([text]).length === 1
    } catch {
      return false
    }
  }
  return list(isRange, 'addresses or CIDR ranges like 10.0.0.0/8, with commas between them')
}

function list(isGood: (text: string) => boolean, expected: string) {
  const parts = (given: string) => given.split(',').map((part) => part.trim())
  return v.union(
    [
      absent(),
      v.pipe(
        v.string(),
        v.check((given) => parts(given).every(isGood), expected),
        v.transform(parts),
      ),
    ],
    expected,
  )
}

function patterns() {
  const expected = 'topics and patterns with commas between them'
  return v.pipe(
    v.string(),
    v.check((given) => given === 'none' || areNames(given), expected),
    v.transform(namesOf),
  )
}

function namesOf(list: string): string[] {
  return list === 'none' ? [] : list.split(',').filter((name) => name !== '')
}

function areNames(list: string): boolean {
  try {
    for (const name of namesOf(list)) Filter.parse([name])
    return true
  } catch {
    return false
  }
}

function apiKeys() {
  const expected =
    'lines of name:sha256:publish:subscribe: a name of letters, digits and . _ -, 64 hex digits, and twice topics and patterns without : and with commas between them'
  return v.pipe(
    v.string(),
    v.check((given) => given === 'none' || linesOf(given).every(isApiKey), expected),
    v.transform((given): readonly ApiKey[] => (given === 'none' ? [] : linesOf(given).map(apiKeyOf))),
  )
}

function linesOf(keys: string): string[] {
  return keys.split(/\s+/).filter((line) => line !== '')
}

function isApiKey(line: string): boolean {
  const [name = '', hash = '', publish = '', subscribe = '', ...more] = line.split(':')
  return (
    /^[\w.-]{1,100}$/.test(name) &&
    /^[0-9a-f]{64}$/i.test(hash) &&
    areNames(publish) &&
    areNames(subscribe) &&
    more.length === 0
  )
}

function apiKeyOf(line: string): ApiKey {
  const [name, hash, publish, subscribe = ''] = line.split(':') as [string, string, string, string?]
  return { name, sha256: hash.toLowerCase(), publish: namesOf(publish), subscribe: namesOf(subscribe) }
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
