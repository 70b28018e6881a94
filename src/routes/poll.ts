import { createParser } from 'eventsource-parser'
import type { Context } from 'hono'
import { whenGone } from '../client-gone.ts'
import { AppError } from '../errors.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Outcome } from '../log/runs.ts'
import type { Filter } from '../topic.ts'
import { object, ref } from './describe.ts'

/** An answer ends after this many characters of frames: the hub reads and writes it in one go, and all other work waits meanwhile. */
const MAX_ANSWER = 32 * 1024
/**
 * Longest time in ms that a poll reads the log after its own wait. A log that is elsewhere repeats a read until it is back, and a search may
 * take long: an answer then has what was found, and the position that was reached.
 */
const MAX_READ_MS = 30_000

/** An event's data in a stream with envelopes. */
interface Envelope {
  readonly topic: string
  readonly event: string
  readonly data: string
  readonly time: string
}

/**
 * Everything that was due on a subscription: the JSON answer to a poll.
 *
 * @example
 * const show = ({ events, gaps = [] }: Polled) => {
 *   for (const gap of gaps) console.warn('Some events are lost', gap)
 *   for (const { topic, data } of events) console.log(topic, data)
 * }
 */
export interface Polled {
  readonly events: (Envelope & { readonly id?: string })[]
  /** The `lastEventId` of the next poll. */
  position: string
  /** The data of each `hub.gap`, in order. */
  gaps?: unknown[]
  /** The first of `gaps`, for clients of the releases that reported one gap; it will be removed. */
  gap?: unknown
  /** Closed topics, also those that an earlier answer has named. */
  closed?: string[]
  /** How the topics ended that closed now. */
  ended?: (Outcome & { readonly topic: string })[]
}

/** The carrier for clients that cannot stream: one JSON response with what `collect` returns. @throws AppError of `collect` */
export async function poll(c: Context, subscription: Subscription, waitMs: number): Promise<Response> {
  return json(c, await collect(subscription, waitMs, c.req.raw.signal))
}

/**
 * Resolves with everything that is due on a subscription, and closes it. A public parser parses the frames of the subscription. If nothing
 * is due, waits for at most `waitMs`.
 *
 * @param subscription one with envelopes
 * @param signal aborts when the caller has gone
 * @throws AppError `overloaded` (the hub ended the subscription before its first frame), `log_unavailable` (the log does not answer), and
 *   the failure of a subscription that could not read the log
 */
export async function collect(subscription: Subscription, waitMs: number, signal?: AbortSignal): Promise<Polled> {
  const answer: Polled = { events: [], position: '' }
  const decoder = new TextDecoder()
  let length = 0
  let resumedAt: string | undefined
  let isClosing = false
  const parser = createParser({
    onEvent: (event) => {
      add(event, answer)
      if (event.event === 'hub.open' && JSON.parse(event.data).state === 'resumed') resumedAt = event.id
      // A close at the position that the client sent is known to the client: an answer at once would make the client poll without a pause.
      if (event.event === 'hub.closed' && event.id !== resumedAt) isClosing = true
    },
  })
  const beganAt = subscription.positionId
  const close = () => subscription.close()
  const stopListening = signal ? whenGone(signal, close) : () => {}
  const timeout = startTimeout(waitMs, () => subscription.onReady())
  const patience = startTimeout(waitMs + MAX_READ_MS, () => subscription.onReady())
  try {
    for (;;) {
      const bytes = subscription.read()
      if (bytes) {
        const text = decoder.decode(bytes, { stream: true })
        parser.feed(text)
        length += text.length
      }
      if (subscription.ended || length > MAX_ANSWER) break
      if (subscription.idle && (isClosing || hasNews(answer) || timeout.isOver())) break
      if (bytes) continue
      if (patience.isOver()) break
      await new Promise<void>((resolve) => {
        subscription.onReady = resolve
      })
    }
    const { failure } = subscription
    if (failure && !hasNews(answer)) throw failure
    if (!subscription.ended && !subscription.idle && !hasNews(answer) && subscription.positionId === beganAt)
      throw unanswered()
    // After a gap or entries of other topics, the position is past the last id. With the last id, the next poll would report the gap again.
    if (!subscription.ended || failure) answer.position = subscription.positionId
    // An answer needs a position: without one, the next poll would begin at the head and miss the events until then.
    if (answer.position === '') throw endedEarly()
    return answer
  } finally {
    timeout.clear()
    patience.clear()
    subscription.close('answered')
    stopListening()
  }
}

/** The error of a poll whose hub shut down, or whose log was replaced, before the subscription had its first frame. */
function endedEarly(): AppError {
  return new AppError('overloaded', 'Cannot answer now: the hub ended this poll before it began; ask again', {
    retryAfterS: 1,
  })
}

function unanswered(): AppError {
  return new AppError('log_unavailable', 'Cannot read the log now: it does not answer; ask again', { retryAfterS: 1 })
}

/** Answers a poll whose topics are all closed, and whose position is past their closes. */
export function completed(c: Context, position = '', filter?: Filter): Response {
  return json(c, afterCloses(position, filter))
}

/** What a poll returns whose topics are all closed. */
export function afterCloses(position: string, filter: Filter | undefined): Polled {
  return { events: [], position, closed: [...(filter?.topics ?? [])] }
}

function add(
  { event = 'message', id, data }: { event?: string | undefined; id?: string | undefined; data: string },
  answer: Polled,
) {
  if (id !== undefined) answer.position = id
  if (event === 'hub.gap') {
    answer.gaps = [...(answer.gaps ?? []), JSON.parse(data)]
    answer.gap = answer.gaps[0]
  } else if (event === 'hub.closed') {
    const ended = JSON.parse(data) as Outcome & { topic: string }
    answer.closed = [...(answer.closed ?? []), ended.topic]
    answer.ended = [...(answer.ended ?? []), ended]
  } else if (!event.startsWith('hub.')) answer.events.push({ ...(id !== undefined && { id }), ...envelopeOf(data) })
}

function envelopeOf(data: string): Envelope {
  return JSON.parse(data)
}

function hasNews({ events, gaps }: Polled): boolean {
  return events.length > 0 || gaps !== undefined
}

function json(c: Context, answer: Polled): Response {
  return c.json(answer, 200, { 'Cache-Control': 'no-store', Vary: 'Accept' })
}

function startTimeout(ms: number, onOver: () => void): { isOver(): boolean; clear(): void } {
  let isOver = ms === 0
  const timer = isOver
    ? undefined
    : setTimeout(() => {
        isOver = true
        onOver()
      }, ms)
  return { isOver: () => isOver, clear: () => clearTimeout(timer) }
}

export const pollSchemas = {
  Ended: object(
    {
      topic: { type: 'string' },
      outcome: { enum: ['done', 'failed', 'stopped', 'abandoned'] },
      detail: { type: 'string', description: 'Why the run of the topic has failed' },
    },
    ['topic', 'outcome'],
  ),
  Polled: object(
    {
      events: {
        type: 'array',
        items: object(
          {
            id: ref('Id'),
            topic: { type: 'string' },
            event: { type: 'string' },
            data: { type: 'string' },
            time: ref('Time'),
          },
          ['topic', 'event', 'data', 'time'],
        ),
      },
      position: { type: 'string', description: 'The lastEventId of the next request' },
      gaps: { type: 'array', items: ref('Gap'), minItems: 1, description: 'The gaps, in order' },
      gap: {
        allOf: [ref('Gap')],
        deprecated: true,
        description: 'The first of `gaps`. It will be removed: read `gaps`',
      },
      closed: { type: 'array', items: { type: 'string' }, description: 'Closed topics: no event of theirs follows' },
      ended: {
        type: 'array',
        items: ref('Ended'),
        description: 'How the topics ended that this answer reports as closed',
      },
    },
    ['events', 'position'],
  ),
}
