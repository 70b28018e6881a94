import * as v from 'valibot'
import {
  apiKeys,
  bytes,
  DAY_MS,
  duration,
  isLong,
  isSafeUrl,
  KIB,
  logUrl,
  MIB,
  optional,
  optionalText,
  origins,
  patterns,
  proxies,
  text,
  whole,
  yesOrNo,
} from './values.ts'

/** Environment variables: what each does, its default as one would write it, and how it is read. */
export const settings = {
  PORT: setting('Listen on this port; 0 takes a free one', '3000', whole(0, 65_535)),
  HOST: setting(
    'Listen on this address; any other than loopback needs OPEN=true or keys',
    '127.0.0.1',
    text(/^[\w.:%-]+$/, 'an address or a host name'),
  ),
  LOG: setting(
    'Keep everything published here: memory:, sqlite:PATH, or redis://HOST:PORT/HUB (rediss:// with TLS)',
    'sqlite:./data/tidings.db',
    logUrl(),
  ),
  BASE_PATH: setting(
    'Expect clients to reach the hub under this path, which a proxy strips; X-Forwarded-Prefix of trusted proxies says it too',
    'none',
    optionalText((given) => /^(\/[\w.~-]+)+$/.test(given), 'a path like /live'),
  ),
  OPEN: setting('Serve everybody who can reach HOST without asking who they are', 'false', yesOrNo()),
  AUTH_SECRET: setting(
    'Accept tokens signed with this secret of at least 32 bytes (HS256)',
    'none',
    optionalText(isLong, 'at least 32 bytes'),
  ),
  AUTH_PUBLIC_KEY: setting(
    'Accept tokens signed for this public key: PEM or JWK',
    'none',
    optionalText((given) => /^\s*(\{|-----BEGIN PUBLIC KEY-----)/.test(given), 'a PEM (BEGIN PUBLIC KEY) or a JWK'),
  ),
  AUTH_JWKS_URL: setting(
    'Accept tokens signed for a key of the set at this URL',
    'none',
    optionalText(isSafeUrl, 'an https: URL'),
  ),
  AUTH_ISSUER: setting(
    'Require this iss in tokens',
    'none',
    optionalText(() => true, 'a text'),
  ),
  AUTH_AUDIENCE: setting(
    'Require this aud in tokens',
    'none',
    optionalText(() => true, 'a text'),
  ),
  AUTH_MAX_TTL: setting('Reject tokens that are valid for longer than this', '24h', duration(1000, 30 * DAY_MS)),
  AUTH_RELOAD: setting('Read keys again after this time', '1m', duration(1000, DAY_MS)),
  API_KEYS: setting(
    'Accept these keys of servers and scripts: name:sha256:publish,…:subscribe,…, separated by spaces or line ends',
    'none',
    apiKeys(),
  ),
  COOKIE_NAME: setting(
    'Name the cookies of this hub after this text, to tell two hubs of one host apart',
    'tidings',
    text(/^[\w-]{1,50}$/, 'letters, digits, _ and -, at most 50'),
  ),
  ANONYMOUS_PUBLISH: setting(
    'Let clients without credentials publish to these topics and patterns; needs keys beside it',
    'none',
    patterns(),
  ),
  ANONYMOUS_SUBSCRIBE: setting(
    'Let clients without credentials subscribe to these topics and patterns; needs keys beside it',
    'none',
    patterns(),
  ),
  CORS_ORIGINS: setting('Let pages of these origins use the hub, separated by commas', 'none', origins()),
  TRUSTED_PROXIES: setting('Believe X-Forwarded-For of proxies at these addresses and CIDR ranges', 'none', proxies()),
  REQUEST_LOG: setting(
    'Log a JSON line for these requests and ends of streams: all, refused (and streams that failed) or none',
    'refused',
    v.picklist(['all', 'refused', 'none'], 'all, refused or none'),
  ),
  HEAP_WATERMARK: setting(
    'Refuse new streams above this percentage of the heap; Node and Deno only',
    '85',
    whole(1, 100),
  ),
  MAX_READERS_PER_TOKEN: setting('Limit the open streams of one token subject or API key', '100', whole(1)),
  RETENTION_COUNT: setting('Keep at most this many events; 100000 with LOG=memory:', '1000000', whole(1)),
  RETENTION_BYTES: setting('Keep at most this many bytes of events; 64MiB with LOG=memory:', '1GiB', bytes(KIB)),
  RETENTION_AGE: setting('Delete events that are older than this; none keeps them', 'none', optional(duration(1000))),
  TOPIC_RETENTION_COUNT: setting('Keep at most this many events of each topic', 'none', optional(whole(1))),
  TOPIC_RETENTION_BYTES: setting('Keep at most this many bytes of events of each topic', 'none', optional(bytes(1))),
  // A used ticket is remembered as a key.
  KEY_COUNT: setting('Remember at most this many idempotency keys; at least 10000', '1000000', whole(10_000)),
  KEY_AGE: setting('Remember an idempotency key for this long; at least two minutes', '24h', duration(120_000)),
  NEW_EPOCH: setting(
    'Begin a new epoch, once for each new text, after a restore that the hub cannot see',
    'none',
    optionalText((given) => given.length <= 200, 'a text of at most 200 characters'),
  ),
  MAX_BODY_BYTES: setting(
    'Reject longer request bodies, and longer items of a body that streams',
    '64KiB',
    bytes(KIB, 64 * MIB),
  ),
  BODY_TIMEOUT: setting(
    'Reject a request body that takes longer than this to arrive, unless it streams',
    '30s',
    duration(100, DAY_MS),
  ),
  MAX_EVENT_BYTES: setting(
    'Reject events with more data than this; some clients fail at lines above 64 KiB',
    '60KiB',
    bytes(1, 64 * MIB),
  ),
  MAX_BATCH: setting('Reject lists of more messages than this', '1000', whole(1, 100_000)),
  MAX_STREAM_ITEMS: setting('Stop reading a body that streams after this many items', '1000000', whole(1)),
  STREAM_IDLE: setting(
    'Stop reading a body that streams when it is silent for this long',
    '60s',
    duration(100, DAY_MS),
  ),
  MAX_STREAM_TIME: setting('Stop reading a body that streams after this time', '1h', duration(100, DAY_MS)),
  MAX_TOPICS: setting(
    'Limit the topics and patterns of one stream; a form may have 100 values more',
    '100',
    whole(1, 10_000),
  ),
  MAX_TOPIC_BYTES: setting('Reject longer topics and patterns', '200', bytes(1, 200)),
  MAX_TOPIC_SEGMENTS: setting('Reject topics and patterns with more segments than this', '10', whole(1, 100)),
  MAX_READERS: setting('Limit the open streams', '50000', whole(1)),
  MAX_READERS_PER_ADDRESS: setting(
    'Limit the open streams of one client address; 1000 with OPEN=true',
    'none',
    optional(whole(1)),
  ),
  PUBLISH_RATE: setting(
    'Limit the messages that one client address publishes in a second; 1000 with OPEN=true',
    'none',
    optional(whole(1)),
  ),
  MAX_REPLAYS: setting('Limit the readers that receive history from the log at the same time', '1000', whole(1)),
  REPLAY_RATE: setting('Limit the events a second that one reader receives from the log', '10000', whole(100)),
  CARRIER: setting(
    'Write streams the fastest way of the runtime (native) or the portable way (stream)',
    'native',
    v.picklist(['native', 'stream'], 'native or stream'),
  ),
  WARM_UP: setting(
    'Run sample messages before listening, so that the first real ones find compiled code; Node only',
    'true',
    yesOrNo(),
  ),
  MAX_CHUNK_BYTES: setting('Write at most this many bytes to a reader at once', '64KiB', bytes(KIB, 16 * MIB)),
  WINDOW_COUNT: setting(
    'Keep this many of the newest events in memory for readers to catch up from',
    '10000',
    whole(1, 10_000_000),
  ),
  WINDOW_BYTES: setting(
    'Keep at most this many bytes of events in memory for readers to catch up from',
    '8MiB',
    bytes(KIB),
  ),
  HEARTBEAT: setting('Write a comment to a stream that was silent for this long', '15s', duration(100, DAY_MS)),
  LIFETIME: setting('End a stream at this age, ± 20 %; its reader resumes', '15m', duration(1000, DAY_MS)),
  STALL: setting('Disconnect a reader that has not taken what it was sent for this long', '30s', duration(100, DAY_MS)),
  RETRY: setting('Tell clients to reconnect after this time', '3s', duration(500, 3_600_000)),
}

export type Setting = keyof typeof settings

/** What is told to nobody, wrong or not. */
export const secrets: readonly Setting[] = ['AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'API_KEYS']

/** What is safe to keep on a disk is not in memory. */
export const memoryInitials: Partial<Record<Setting, string>> = { RETENTION_COUNT: '100000', RETENTION_BYTES: '64MiB' }

/** Who lets everybody in bounds each. On loopback, and behind a proxy there, all have one address. */
export const openInitials: Partial<Record<Setting, string>> = { MAX_READERS_PER_ADDRESS: '1000', PUBLISH_RATE: '1000' }

function setting<Schema extends v.GenericSchema<string, unknown>>(says: string, initial: string, schema: Schema) {
  return { says, initial, schema }
}
