import { createParser } from 'eventsource-parser'
import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { whenGone } from '../gone.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'

/** After so many characters of frames an answer is made: it is read and written in one go, for which everybody else waits. */
const MAX_ANSWER = 32 * 1024

/** One answer of a long poll. */
interface Polled {
  readonly events: { readonly id?: string; readonly event: string; readonly data: string }[]
  /** Where to go on: the `lastEventId` of the next poll. */
  position: string
  /** Data of each `hub.gap`, in order. */
  gaps?: unknown[]
  /** The first of `gaps`, for clients of the releases that told one gap; it will go. */
  gap?: unknown
  /** Topics that are closed: nothing more comes of them. Each answer tells of all that it knows of. */
  closed?: string[]
}

/**
 * The carrier for what cannot stream: what the subscription has to say, read from its frames by a public parser, in one answer.
 * At once if there is anything, else after `waitMs` at most.
 */
export async function poll(c: Context, subscription: Subscription, waitMs: number): Promise<Response> {
  const answer: Polled = { events: [], position: '' }
  const decoder = new TextDecoder()
  let length = 0
  let resumedAt: string | undefined
  let isClosing = false
  const parser = createParser({
    onEvent: (event) => {
      note(event, answer)
      if (event.event === 'hub.open' && JSON.parse(event.data).state === 'resumed') resumedAt = event.id
      // A close before the position was told with it. To answer at once with that again would make a client ask without a pause.
      if (event.event === 'hub.closed' && event.id !== resumedAt) isClosing = true
    },
  })
  const close = () => subscription.close()
  const stopListening = whenGone(c.req.raw.signal, close)
  const isOut = deadline(waitMs, () => subscription.onReady())
  try {
    for (;;) {
      const bytes = subscription.read()
      if (bytes) {
        const text = decoder.decode(bytes, { stream: true })
        parser.feed(text)
        length += text.length
      }
      if (subscription.ended || length > MAX_ANSWER) break
      if (subscription.idle && (isClosing || isSaying(answer) || isOut())) break
      if (!bytes)
        await new Promise<void>((ready) => {
          subscription.onReady = ready
        })
    }
    const { failure } = subscription
    if (failure && !isSaying(answer)) throw failure
    // The position may be past the last id (a gap, or entries of other topics): so the next poll is not told the same gap again.
    if (!subscription.ended || failure) answer.position = subscription.positionId
    // A client obeys the position, so there is no answer without one: it would go on at the head and miss what is between.
    if (answer.position === '') throw ended()
    return json(c, answer)
  } finally {
    isOut.clear()
    subscription.close('answered')
    stopListening()
  }
}

/** The hub has ended the stream before it could say where it begins: it is shutting down, or the log was replaced. */
function ended(): AppError {
  return new AppError('overloaded', 'Cannot answer now: the hub ended this poll before it began; ask again', {
    retryAfterS: 1,
  })
}

/** The answer where nothing can come any more. */
export function over(c: Context, position = '', filter?: Filter): Response {
  return json(c, { events: [], position, closed: [...(filter?.topics ?? [])] })
}

function note(
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

function isSaying({ events, gaps }: Polled): boolean {
  return events.length > 0 || gaps !== undefined
}

function json(c: Context, answer: Polled): Response {
  return c.json(answer, 200, { 'Cache-Control': 'no-store', Vary: 'Accept' })
}

/** Tells whether the time is out, and calls when it is. */
function deadline(ms: number, call: () => void): { (): boolean; clear(): void } {
  let isOut = ms === 0
  const timer = isOut
    ? undefined
    : setTimeout(() => {
        isOut = true
        call()
      }, ms)
  return Object.assign(() => isOut, { clear: () => clearTimeout(timer) })
}
