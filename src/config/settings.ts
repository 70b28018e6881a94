import * as v from 'valibot'
import { isPathPrefix } from '../prefix.ts'
import {
  apiKeys,
  boolean,
  bytes,
  DAY_MS,
  duration,
  headers,
  isLongSecret,
  isSecureUrl,
  KIB,
  logUrl,
  MIB,
  optional,
  optionalText,
  origins,
  patterns,
  proxies,
  text,
  wholeNumber,
} from './values.ts'

/** The settings, by the name of their environment variable: what each does, its default as text, and how it is parsed. */
export const settings = {
  PORT: setting('Listen on this port; 0 picks a free one', '3000', wholeNumber(0, 65_535)),
  HOST: setting(
    'Listen on this address, :: for all of IPv6 and IPv4; any but a loopback address needs keys (AUTH_… or API_KEYS) or OPEN=true',
    '127.0.0.1',
    text(/^[\w.:%-]+$/, 'an address or a host name'),
  ),
  LOG: setting(
    'Store the log here: memory:, sqlite:PATH, or redis://HOST:PORT/HUB (rediss:// for TLS)',
    'sqlite:./data/tidings.db',
    logUrl(),
  ),
  BASE_PATH: setting(
    'Make URLs for clients begin with this path, which a proxy strips; without it, trusted proxies may send X-Forwarded-Prefix',
    'none',
    optionalText(isPathPrefix, 'a path like /live'),
  ),
  OPEN: setting('Serve every client that can reach HOST, without credentials', 'false', boolean()),
  AUTH_SECRET: setting(
    'Accept tokens signed with this secret (HS256, at least 32 bytes)',
    'none',
    optionalText(isLongSecret, 'at least 32 bytes'),
  ),
  AUTH_PUBLIC_KEY: setting(
    'Accept tokens whose signature this public key verifies (PEM or JWK)',
    'none',
    optionalText((key) => /^\s*(\{|-----BEGIN PUBLIC KEY-----)/.test(key), 'a PEM (BEGIN PUBLIC KEY) or a JWK'),
  ),
  AUTH_JWKS_URL: setting(
    'Accept tokens whose signature a key of the JWK Set at this URL verifies',
    'none',
    optionalText(isSecureUrl, 'an https: URL'),
  ),
  AUTH_ISSUER: setting(
    'Require this issuer (iss) in tokens',
    'none',
    optionalText(() => true, 'any text'),
  ),
  AUTH_AUDIENCE: setting(
    'Require this audience (aud) in tokens',
    'none',
    optionalText(() => true, 'any text'),
  ),
  AUTH_MAX_TTL: setting('Reject tokens that are valid for longer than this', '24h', duration(1000, 30 * DAY_MS)),
  AUTH_RELOAD: setting('Reload key files and the JWK Set at this interval', '1m', duration(1000, DAY_MS)),
  API_KEYS: setting(
    'Accept these API keys: name:sha256:publish,…:subscribe,…, separated by spaces or line ends; with many hubs on Workers, :hub follows',
    'none',
    apiKeys(),
  ),
  COOKIE_NAME: setting(
    'Name cookies after this text, so that two hubs on one host do not share them',
    'tidings',
    text(/^[\w-]{1,50}$/, 'letters, digits, _ and -, at most 50'),
  ),
  ANONYMOUS_PUBLISH: setting(
    'Let clients without credentials publish to these topics and patterns; needs keys',
    'none',
    patterns(),
  ),
  ANONYMOUS_SUBSCRIBE: setting(
    'Let clients without credentials subscribe to these topics and patterns; needs keys',
    'none',
    patterns(),
  ),
  CORS_ORIGINS: setting('Let pages of these origins use the hub; separate them with commas', 'none', origins()),
  CORS_HEADERS: setting(
    'Let pages of CORS_ORIGINS send these request headers too; separate them with commas',
    'none',
    headers(),
  ),
  TRUSTED_PROXIES: setting(
    'Trust X-Forwarded-For, -Host and -Prefix of proxies at these addresses and CIDR ranges',
    'none',
    proxies(),
  ),
  REQUEST_LOG: setting(
    'Log requests and ends of streams as JSON lines: all, refused (only refused requests and failed streams) or none',
    'refused',
    v.picklist(['all', 'refused', 'none'], 'all, refused or none'),
  ),
  HEAP_WATERMARK: setting(
    'Refuse new streams and new streamed bodies above this percentage of the heap; Node and Deno only',
    '85',
    wholeNumber(1, 100),
  ),
  MAX_READERS_PER_TOKEN: setting('Limit the open streams of one token subject or API key', '100', wholeNumber(1)),
  RETENTION_COUNT: setting('Keep at most this many events; 100000 with LOG=memory:', '1000000', wholeNumber(1)),
  RETENTION_BYTES: setting('Keep at most this many bytes of events; 64MiB with LOG=memory:', '1GiB', bytes(KIB)),
  RETENTION_AGE: setting('Delete events older than this; none keeps them', 'none', optional(duration(1000))),
  TOPIC_RETENTION_COUNT: setting('Keep at most this many events of each topic', 'none', optional(wholeNumber(1))),
  TOPIC_RETENTION_BYTES: setting('Keep at most this many bytes of events of each topic', 'none', optional(bytes(1))),
  // A used ticket is remembered as an idempotency key. With the minimum of both settings, it is remembered for longer than it is valid.
  KEY_COUNT: setting('Remember at most this many idempotency keys; at least 10000', '1000000', wholeNumber(10_000)),
  KEY_AGE: setting('Remember an idempotency key for this long; at least two minutes', '24h', duration(120_000)),
  CLOSED_AGE: setting(
    'Remember a closed topic without kept events for this long; then it can be published to again',
    '30d',
    duration(1000),
  ),
  CLOSED_COUNT: setting('Remember at most this many closed topics without kept events', '1000000', wholeNumber(1)),
  MAX_RUNS: setting('Have at most this many active runs; claims of further topics get 429', '100000', wholeNumber(1)),
  NEW_EPOCH: setting(
    'Begin a new epoch, once for each new text; set it after a restore that the hub cannot detect',
    'none',
    optionalText((text) => text.length <= 200, 'a text of at most 200 characters'),
  ),
  MAX_BODY_BYTES: setting(
    'Reject request bodies longer than this, and longer items of streamed bodies',
    '64KiB',
    bytes(KIB, 64 * MIB),
  ),
  BODY_TIMEOUT: setting(
    'Reject request bodies that take longer than this to arrive, unless they are streamed',
    '30s',
    duration(100, DAY_MS),
  ),
  MAX_EVENT_BYTES: setting(
    'Reject events that are longer than this on the wire, in their longest form; some clients fail or hang at 64 KiB',
    '63KiB',
    bytes(KIB, 64 * MIB),
  ),
  MAX_PENDING_BYTES: setting(
    'Refuse publishes while more than this many bytes of messages wait for the log',
    '64MiB',
    bytes(MIB),
  ),
  MAX_BATCH: setting('Reject lists of more messages than this', '1000', wholeNumber(1, 100_000)),
  MAX_STREAM_ITEMS: setting('Stop reading a streamed body after this many items', '1000000', wholeNumber(1)),
  STREAM_IDLE: setting('Stop reading a streamed body that sends nothing for this long', '60s', duration(100, DAY_MS)),
  MAX_STREAM_TIME: setting(
    'Stop reading a streamed body after this time, which includes its waits for PUBLISH_RATE',
    '1h',
    duration(100, DAY_MS),
  ),
  MAX_STREAMED_BODIES: setting(
    'Limit the streamed bodies that are read at the same time; each may hold 400 KiB of memory, on Bun 2 MiB',
    '1000',
    wholeNumber(1),
  ),
  MAX_STREAMED_BODIES_PER_TOKEN: setting(
    'Limit the streamed bodies of one token subject or API key that are read at the same time',
    '100',
    wholeNumber(1),
  ),
  MAX_STREAMED_BODIES_PER_ADDRESS: setting(
    'Limit the streamed bodies of one client address that are read at the same time; 100 with OPEN=true',
    'none',
    optional(wholeNumber(1)),
  ),
  MAX_TOPICS: setting(
    'Limit the topics and patterns of one stream; a form may hold 100 values more',
    '100',
    wholeNumber(1, 10_000),
  ),
  MAX_TOPIC_BYTES: setting('Reject topics and patterns longer than this', '200', bytes(1, 200)),
  MAX_TOPIC_SEGMENTS: setting('Reject topics and patterns with more segments than this', '10', wholeNumber(1, 100)),
  MAX_PATTERN_SEGMENTS: setting(
    'Limit the segments of all patterns of one stream together',
    '300',
    wholeNumber(1, 100_000),
  ),
  MAX_READERS: setting('Limit the open streams', '50000', wholeNumber(1)),
  MAX_READERS_PER_ADDRESS: setting(
    'Limit the open streams of one client address; 1000 with OPEN=true',
    'none',
    optional(wholeNumber(1)),
  ),
  PUBLISH_RATE: setting(
    'Limit the messages, deletions and lists of topics of one client address per second; 1000 with OPEN=true',
    'none',
    optional(wholeNumber(1)),
  ),
  MAX_REPLAYS: setting('Limit the readers that receive history from the log at the same time', '1000', wholeNumber(1)),
  REPLAY_RATE: setting('Limit the events per second that one reader receives from the log', '10000', wholeNumber(100)),
  CARRIER: setting(
    "Write streams in the runtime's fastest way (native) or in the portable way (stream)",
    'native',
    v.picklist(['native', 'stream'], 'native or stream'),
  ),
  WARM_UP: setting(
    'Publish sample messages before listening, so that the first requests run compiled code; Node only',
    'true',
    boolean(),
  ),
  MAX_CHUNK_BYTES: setting('Write at most this many bytes to a reader at once', '64KiB', bytes(KIB, 16 * MIB)),
  WINDOW_COUNT: setting(
    'Keep at most this many of the newest events in memory, for readers that are behind',
    '10000',
    wholeNumber(1, 10_000_000),
  ),
  WINDOW_BYTES: setting(
    'Keep at most this many bytes of events in memory, for readers that are behind',
    '8MiB',
    bytes(KIB),
  ),
  HEARTBEAT: setting('Write a comment to a stream that has been silent for this long', '15s', duration(100, DAY_MS)),
  LIFETIME: setting('End a stream at this age, ± 20 %; its reader resumes', '15m', duration(1000, DAY_MS)),
  STALL: setting('Disconnect a reader that leaves sent data unread for this long', '30s', duration(100, DAY_MS)),
  KEEP_ALIVE: setting(
    'Keep an idle connection open for this long, longer than proxies do; at most 255s on Bun; Deno leaves it to the client',
    '75s',
    duration(1000, 3_600_000),
  ),
  RETRY: setting('Tell clients to reconnect after this time', '3s', duration(500, 3_600_000)),
}

export type Setting = keyof typeof settings

/**
 * The settings of an app, which a host gives to `createApp` as an object. A host gives all others to what they concern: the hub, the log or
 * the server.
 */
export const appSettings = [
  ...(['BASE_PATH', 'OPEN', 'COOKIE_NAME', 'CORS_ORIGINS', 'CORS_HEADERS', 'TRUSTED_PROXIES', 'REQUEST_LOG'] as const),
  ...(['AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'AUTH_JWKS_URL', 'AUTH_ISSUER', 'AUTH_AUDIENCE', 'AUTH_MAX_TTL'] as const),
  ...(['AUTH_RELOAD', 'API_KEYS', 'ANONYMOUS_PUBLISH', 'ANONYMOUS_SUBSCRIBE'] as const),
  ...(['MAX_BODY_BYTES', 'BODY_TIMEOUT', 'MAX_BATCH', 'MAX_STREAM_ITEMS', 'STREAM_IDLE', 'MAX_STREAM_TIME'] as const),
  ...(['MAX_STREAMED_BODIES', 'MAX_STREAMED_BODIES_PER_TOKEN', 'MAX_STREAMED_BODIES_PER_ADDRESS'] as const),
  ...(['MAX_READERS_PER_TOKEN', 'MAX_READERS_PER_ADDRESS', 'PUBLISH_RATE'] as const),
] as const satisfies readonly Setting[]

/** Settings whose values are shown nowhere, not even in errors. */
export const secrets: readonly Setting[] = ['AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'API_KEYS']

/** Settings that may hold a secret: `LOG` may contain a password. */
export const withSecrets: readonly Setting[] = [...secrets, 'LOG']

/** Defaults for LOG=memory:, whose log takes less room than one on disk. */
export const memoryDefaults: Partial<Record<Setting, string>> = { RETENTION_COUNT: '100000', RETENTION_BYTES: '64MiB' }

/**
 * Defaults for OPEN=true: limits for each client address. They are off without OPEN, where all clients may have the same address: a hub
 * then listens on loopback, or behind a proxy there.
 */
export const openDefaults: Partial<Record<Setting, string>> = {
  MAX_READERS_PER_ADDRESS: '1000',
  MAX_STREAMED_BODIES_PER_ADDRESS: '100',
  PUBLISH_RATE: '1000',
}

export function setting<Schema extends v.GenericSchema<string, unknown>>(
  description: string,
  defaultText: string,
  schema: Schema,
) {
  return { description, defaultText, schema }
}
