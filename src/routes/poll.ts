import { createParser } from 'eventsource-parser'
import type { Context } from 'hono'
import { whenGone } from '../client-gone.ts'
import { AppError } from '../errors.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import { object, ref } from './describe.ts'

/** An answer ends after this many characters of frames: it is read and written in one go, and everything else waits meanwhile. */
const MAX_ANSWER = 32 * 1024

/** The answer of a poll. */
interface Polled {
  readonly events: { readonly id?: string; readonly event: string; readonly data: string }[]
  /** The `lastEventId` of the next poll. */
  position: string
  /** The data of each `hub.gap`, in order. */
  gaps?: unknown[]
  /** The first of `gaps`, for clients of the releases that reported one gap; it will be removed. */
  gap?: unknown
  /** Closed topics. Each answer names all that it knows. */
  closed?: string[]
}

/**
 * The carrier for clients that cannot stream: one JSON response with everything that is due on a subscription, parsed from its frames
 * by a public parser. If nothing is due, it waits for at most `waitMs`.
 *
 * @throws AppError `overloaded` (the hub ended the subscription first), and the failure of a subscription that could not read the log
 */
export async function poll(c: Context, subscription: Subscription, waitMs: number): Promise<Response> {
  const answer: Polled = { events: [], position: '' }
  const decoder = new TextDecoder()
  let length = 0
  let resumedAt: string | undefined
  let isClosing = false
  const parser = createParser({
    onEvent: (event) => {
      add(event, answer)
      if (event.event === 'hub.open' && JSON.parse(event.data).state === 'resumed') resumedAt = event.id
      // The client of this position knows of an earlier close. Reporting it again at once would make the client poll without a pause.
      if (event.event === 'hub.closed' && event.id !== resumedAt) isClosing = true
    },
  })
  const close = () => subscription.close()
  const stopListening = whenGone(c.req.raw.signal, close)
  const timeout = startTimeout(waitMs, () => subscription.onReady())
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
      if (!bytes)
        await new Promise<void>((resolve) => {
          subscription.onReady = resolve
        })
    }
    const { failure } = subscription
    if (failure && !hasNews(answer)) throw failure
    // The position may be past the last id, after a gap or entries of other topics: the next poll must not report the same gap again.
    if (!subscription.ended || failure) answer.position = subscription.positionId
    // An answer needs a position: without one, the client would continue at the head and miss what is between.
    if (answer.position === '') throw endedEarly()
    return json(c, answer)
  } finally {
    timeout.clear()
    subscription.close('answered')
    stopListening()
  }
}

/** The hub shut down, or its log was replaced, before the subscription had its first frame. */
function endedEarly(): AppError {
  return new AppError('overloaded', 'Cannot answer now: the hub ended this poll before it began; ask again', {
    retryAfterS: 1,
  })
}

/** Answers a poll of topics that are all closed, with a position past their closes. */
export function completed(c: Context, position = '', filter?: Filter): Response {
  return json(c, { events: [], position, closed: [...(filter?.topics ?? [])] })
}

function add(
  { event = 'message', id, data }: { event?: string | undefined; id?: string | undefined; data: string },
  answer: Polled,
) {
  if (id !== undefined) answer.position = id
  if (event === 'hub.gap') {
    answer.gaps = [...(answer.gaps ?? []), JSON.parse(data)]
    answer.gap = answer.gaps[0]
  } else if (event === 'hub.closed') answer.closed = [...(answer.closed ?? []), JSON.parse(data).topic]
  else if (!event.startsWith('hub.')) answer.events.push({ ...(id !== undefined && { id }), event, data })
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
  Polled: object(
    {
      events: {
        type: 'array',
        items: object({ id: ref('Id'), event: { type: 'string' }, data: { type: 'string' } }, ['event', 'data']),
      },
      position: { type: 'string', description: 'The lastEventId of the next request' },
      gaps: { type: 'array', items: ref('Gap'), minItems: 1, description: 'The gaps, in order' },
      gap: {
        allOf: [ref('Gap')],
        deprecated: true,
        description: 'The first of `gaps`. It will be removed: read `gaps`',
      },
      closed: { type: 'array', items: { type: 'string' }, description: 'Closed topics: no event of theirs follows' },
    },
    ['events', 'position'],
  ),
  Gap: object(
    {
      reason: { enum: ['trimmed', 'epoch', 'unknown', 'ahead', 'conflated'] },
      from: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      to: { type: 'string' },
      exact: { type: 'boolean' },
    },
    ['reason', 'from', 'to', 'exact'],
  ),
}
