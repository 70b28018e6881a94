import { AppError, quote } from '../errors.ts'
import { type Message, makeMessage, utf8Length } from '../log/log.ts'
import { isOwn, type NameLimits, parseTopic } from '../topic.ts'

/** Least and greatest `retry`, in ms. */
export const MIN_RETRY_MS = 500
const MAX_RETRY_MS = 3_600_000

const MAX_NAME_BYTES = 200
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const RESERVED = ['open', 'error']

/** Limits of a message. */
export interface MessageLimits extends NameLimits {
  /** Most UTF-8 bytes of `data`. */
  readonly maxEventBytes: number
}

/**
 * Checks that an SSE parser gives back exactly the fields of a message, and returns the message. CR and CRLF in `data` become LF: event
 * streams do not distinguish the three (HTML, 9.2.6), so the log keeps the text that readers get.
 *
 * @throws AppError `topic_invalid`, `topic_too_long`, `forbidden` (a `$` topic)
 * @throws AppError `data_missing`, `message_invalid`, `event_too_large`, `event_invalid`, `retry_invalid`, `key_invalid`
 */
export function parseMessage(message: Message, limits: MessageLimits): Message {
  const { event, retry, key, close } = message
  const data = message.data?.replace(/\r\n?/g, '\n')
  const topic = parseTopic(message.topic, limits)
  if (isOwn(topic))
    throw new AppError('forbidden', `Cannot publish to ${quote(topic)}: topics that start with $ are the hub's own`)
  if (data === undefined && !close)
    throw new AppError('data_missing', 'Cannot publish without data: add it, "" is allowed')
  if (data !== undefined) checkText(data, limits.maxEventBytes)
  if (event !== undefined) checkEvent(event)
  if (retry !== undefined) checkRetry(retry)
  if (key !== undefined) checkKey(key)
  return makeMessage(topic, { data, event: event === 'message' ? undefined : event, retry, key, close })
}

/** @throws AppError `message_invalid`, `event_too_large` */
export function checkText(text: string, maxBytes: number): void {
  if (!text.isWellFormed())
    throw new AppError(
      'message_invalid',
      'Cannot use this text: it is ill-formed UTF-16 (half of a surrogate pair), which no UTF-8 stream can carry',
    )
  if (3 * text.length <= maxBytes) return // one UTF-16 code unit takes at most 3 bytes of UTF-8
  const bytes = utf8Length(text)
  if (bytes > maxBytes)
    throw new AppError('event_too_large', `Cannot use a text of ${bytes} bytes: one event holds at most ${maxBytes}`)
}

function checkEvent(event: string): void {
  const cannot = (why: string) => new AppError('event_invalid', `Cannot use ${quote(event)} as an event name: ${why}`)
  if (event === '') throw cannot('it is empty; leave it out for the default, message')
  if (CONTROL.test(event)) throw cannot('it holds a control character')
  if (!event.isWellFormed()) throw cannot('it is ill-formed UTF-16')
  if (utf8Length(event) > MAX_NAME_BYTES) throw cannot(`at most ${MAX_NAME_BYTES} bytes`)
  // @microsoft/fetch-event-source drops the mark and uses the rest as the name, which could then be `hub.gap`.
  if (event.startsWith('\ufeff')) throw cannot('it starts with a byte order mark')
  if (RESERVED.includes(event) || event.startsWith('hub.'))
    throw cannot('open, error and names that start with hub. are reserved')
}

function checkRetry(retry: number): void {
  if (Number.isInteger(retry) && retry >= MIN_RETRY_MS && retry <= MAX_RETRY_MS) return
  throw new AppError(
    'retry_invalid',
    `Cannot use ${retry} as retry: expected a whole number of ms from ${MIN_RETRY_MS} to ${MAX_RETRY_MS}`,
  )
}

/** @throws AppError `key_invalid` */
export function checkKey(key: string): void {
  if (key !== '' && key.isWellFormed() && !CONTROL.test(key) && utf8Length(key) <= MAX_NAME_BYTES) return
  throw new AppError(
    'key_invalid',
    `Cannot use ${quote(key)} as a key: expected 1 to ${MAX_NAME_BYTES} bytes without control characters`,
  )
}
