import { AppError, quote } from '../errors.ts'
import { type Message, makeMessage, utf8Length } from '../log/log.ts'
import { MAX_DETAIL_BYTES } from '../log/runs.ts'
import { isOwn, type NameLimits, parseTopic } from '../topic.ts'
import { checkLength } from './frame-length.ts'

/** Least and greatest `retry`, in ms. */
export const MIN_RETRY_MS = 500
const MAX_RETRY_MS = 3_600_000

const MAX_NAME_BYTES = 200
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const RESERVED = ['open', 'error']

/** Limits of a message. */
export interface MessageLimits extends NameLimits {
  /** Most bytes of an event on the wire, in the longest of its forms: see `longestFrame`. */
  readonly maxEventBytes: number
}

/**
 * Checks that an SSE parser gives back exactly the fields of a message, and returns the message. CR and CRLF in `data` become LF: event
 * streams do not distinguish the three (HTML, 9.2.6), so the log keeps the text that readers get.
 *
 * @throws AppError `topic_invalid`, `topic_too_long`, `forbidden` (a `$` topic)
 * @throws AppError `data_missing`, `message_invalid`, `event_too_large`, `event_invalid`, `retry_invalid`, `key_invalid`, `outcome_invalid`
 */
export function parseMessage(message: Message, limits: MessageLimits): Message {
  const { event, retry, key, close, outcome, detail, run } = message
  const data = message.data?.replace(/\r\n?/g, '\n')
  const topic = parseTopic(message.topic, limits)
  if (isOwn(topic))
    throw new AppError('forbidden', `Cannot publish to ${quote(topic)}: topics that start with $ are the hub's own`)
  if (data === undefined && !close)
    throw new AppError('data_missing', 'Cannot publish without data: add it, "" is allowed')
  if (data !== undefined) checkText(data)
  if (event !== undefined) checkEvent(event)
  if (retry !== undefined) checkRetry(retry)
  checkLength({ topic, event, retry, data }, limits.maxEventBytes)
  if (key !== undefined) checkKey(key)
  checkOutcome(message)
  const named = event === 'message' ? undefined : event
  return makeMessage(topic, { data, event: named, retry, key, close, outcome, detail, run })
}

/** @throws AppError `message_invalid` */
export function checkText(text: string): void {
  if (text.isWellFormed()) return
  throw new AppError(
    'message_invalid',
    'Cannot use this text: it is ill-formed UTF-16 (half of a surrogate pair), which no UTF-8 stream can carry',
  )
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

/** `abandoned` is for the log alone to say. */
const OUTCOMES: readonly (string | undefined)[] = [undefined, 'failed', 'stopped']

function checkOutcome({ run, close, outcome, detail }: Message): void {
  const cannot = (why: string) => new AppError('outcome_invalid', `Cannot publish this outcome: ${why}`)
  if (outcome === undefined && detail === undefined) return
  if (run === undefined || !close) throw cannot('only a message that closes the topic of a run has one')
  if (!OUTCOMES.includes(outcome)) throw cannot('expected failed or stopped, or none for done')
  if (detail === undefined) return
  if (outcome !== 'failed') throw cannot('only failed has a detail')
  if (!detail.isWellFormed() || detail.includes('\0') || utf8Length(detail) > MAX_DETAIL_BYTES)
    throw cannot(`a detail is well-formed text of at most ${MAX_DETAIL_BYTES} bytes, without NUL`)
}

/** @throws AppError `key_invalid` */
export function checkKey(key: string): void {
  if (key !== '' && key.isWellFormed() && !CONTROL.test(key) && utf8Length(key) <= MAX_NAME_BYTES) return
  throw new AppError(
    'key_invalid',
    `Cannot use ${quote(key)} as a key: expected 1 to ${MAX_NAME_BYTES} bytes without control characters`,
  )
}
