// JSON Schemas of texts that other modules check, each with an error code of its own. A test compares them with these checks.

const SEGMENT = '[A-Za-z0-9._~@:-]+'
const NO_CONTROL = '[^\\u0000-\\u001f\\u007f-\\u009f]'

/** What clients may send. Lengths are in characters here, and in bytes of UTF-8 where the hub checks them. */
export const shapes = {
  /** A topic to publish to: see `parseTopic`. */
  topic: { type: 'string', minLength: 1, maxLength: 200, pattern: `^${SEGMENT}(?:/${SEGMENT})*$` },
  /** Any topic, also one of the hub's own. */
  anyTopic: { type: 'string', minLength: 1, maxLength: 200, pattern: `^\\$?${SEGMENT}(?:/${SEGMENT})*$` },
  /** A topic or a pattern: see `parsePattern`. */
  name: {
    type: 'string',
    minLength: 1,
    maxLength: 200,
    pattern: `^(?:\\*\\*|(?:\\$?${SEGMENT}|\\*)(?:/(?:${SEGMENT}|\\*))*(?:/\\*\\*)?)$`,
  },
  /** An event name: see `parseMessage`. */
  event: {
    type: 'string',
    minLength: 1,
    maxLength: 200,
    pattern: `^(?!hub\\.|(?:open|error)$|\\ufeff)${NO_CONTROL}+$`,
  },
  /** A key of a message: see `checkKey`. */
  key: { type: 'string', minLength: 1, maxLength: 200, pattern: `^${NO_CONTROL}+$` },
  /** An `Idempotency-Key`. */
  headerKey: { type: 'string', pattern: '^[\\x20-\\x7e]{1,180}$' },
  /** Why a run has failed: see `parseMessage`. */
  detail: { type: 'string', maxLength: 1000, pattern: '^[^\\u0000]*$' },
  /** A reconnection time: see `parseMessage`. */
  retry: { type: 'integer', minimum: 500, maximum: 3_600_000 },
} as const
