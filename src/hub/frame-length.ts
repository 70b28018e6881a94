import { AppError } from '../errors.ts'
import { utf8Length } from '../log/log.ts'

/** An id has at most 64 bytes, and a time always these. */
const ID = 'x'.repeat(64)
const TIME = '2026-01-01T00:00:00.000Z'

/** Most bytes that one UTF-16 code unit takes in any form: a line end becomes `\ndata: `. In JSON, a control character takes 6. */
const MAX_UNIT_BYTES = 7

interface Content {
  readonly topic: string
  readonly event?: string | undefined
  readonly retry?: number | undefined
  readonly data?: string | undefined
}

/**
 * Counts the bytes of an event in the longest form in which readers can get it: its data in lines, as published, or in the JSON of
 * `envelope=true`. The id, which is not known yet, counts as the longest one. A `hub.closed` that follows is an event of its own.
 */
export function longestFrame({ topic, event = 'message', retry, data = '' }: Content): number {
  const around = utf8Length(`event: ${event}\n${retry === undefined ? '' : `retry: ${retry}\n`}id: ${ID}\n\n`)
  const lines = data.split('\n').length
  const inLines = 'data: '.length * lines + utf8Length(data) + '\n'.length
  const envelope = utf8Length(`data: ${JSON.stringify({ topic, event, data, time: TIME })}\n`)
  return around + Math.max(inLines, envelope)
}

/** The longest frame of an event with neither topic nor data, and twice the name of the default event. */
const FRAME_BYTES = longestFrame({ topic: '', retry: 3_600_000 })

/** @throws AppError `event_too_large` if `longestFrame` is more than `maxBytes` */
export function checkLength(content: Content, maxBytes: number): void {
  const { topic, event = '', data = '' } = content
  // Most events are so short that they need not be counted.
  if (FRAME_BYTES + MAX_UNIT_BYTES * (topic.length + 2 * event.length + data.length) <= maxBytes) return
  const bytes = longestFrame(content)
  if (bytes <= maxBytes) return
  const lines = data.split('\n').length
  throw new AppError(
    'event_too_large',
    `Cannot publish an event of ${bytes} bytes: at most ${maxBytes} are allowed; counted are its fields and its ${utf8Length(data)} bytes of data in the longer of two forms, in lines that begin with "data: " (${lines}) or in the JSON of envelope=true`,
  )
}
