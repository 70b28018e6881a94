import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { essenceOf, piecesOf, refuseCompressed, within } from './bytes.ts'
import { eventsOf, INCOMPLETE, type Items, linesOf } from './items.ts'

/** Bounds of a body that is read as it streams in. */
export interface StreamLimits {
  /** Most items. */
  readonly maxStreamItems: number
  /** Longest silence. */
  readonly streamIdleMs: number
  /** Longest time in all. */
  readonly maxStreamMs: number
}

/**
 * The items of a body that is of a type to be read as it streams in; nothing for other types.
 *
 * @throws AppError while they are read: `stream_idle`, `stream_too_slow`, `stream_too_long`, `body_invalid` (cut off)
 */
export function streamOf(asked: Context, limits: StreamLimits & { readonly maxItemBytes: number }): Items | undefined {
  const request = asked.req.raw
  const type = essenceOf(request.headers.get('content-type') ?? '')
  const read = type === 'application/x-ndjson' ? linesOf : type === 'text/event-stream' ? eventsOf : undefined
  if (!read) return
  refuseCompressed(request)
  return bounded(read(timed(asked, limits), limits.maxItemBytes), limits.maxStreamItems)
}

async function* bounded(items: Items, maxItems: number): Items {
  let count = 0
  for await (const group of items) {
    count += group.at(-1) === INCOMPLETE ? group.length - 1 : group.length
    if (count <= maxItems) yield group
    else {
      const error = new AppError(
        'stream_too_long',
        `Cannot take more than ${maxItems} items of one stream: send the rest anew`,
      )
      yield [...group.slice(0, maxItems - count), error]
    }
  }
}

/** What comes of a body, for as long as it keeps coming. */
async function* timed(asked: Context, { streamIdleMs, maxStreamMs }: StreamLimits): AsyncIterable<Uint8Array> {
  const pieces = piecesOf(asked)
  if (!pieces) return
  const endsAt = performance.now() + maxStreamMs
  try {
    for (;;) {
      const left = endsAt - performance.now()
      const late = () =>
        left < streamIdleMs
          ? new AppError('stream_too_slow', `Cannot read a stream for more than ${maxStreamMs} ms: send the rest anew`)
          : new AppError('stream_idle', `Cannot wait for more of the stream: nothing came for ${streamIdleMs} ms`)
      const { done, value } = await within(pieces.next(), Math.min(left, streamIdleMs), late)
      if (done) return
      yield value
    }
  } finally {
    pieces.return?.()
  }
}
