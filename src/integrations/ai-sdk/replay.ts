import { formatOffset, parseOffset } from '../../runs/offset.ts'
import type { Runs } from '../../runs/run.ts'
import { Chunks, DONE, endingOf, frame, GAP, KEEP_ALIVE } from './wire.ts'

/** How often a silent stream gets a comment, in ms: proxies close silent connections after 60 s. */
const KEEP_ALIVE_MS = 15_000

/**
 * The answer of a run on the AI SDK's wire, after an offset, until the run has ended. The stream fails, and so breaks the connection, if the hub
 * cannot go on: then the client may come back.
 *
 * @param after an offset, `id` or `id.index`
 * @param withIds whether each event has its offset as `id`
 */
export function replay(runs: Runs, topic: string, after: string, withIds: boolean): ReadableStream<Uint8Array> {
  const control = new AbortController()
  const encoder = new TextEncoder()
  const frames = framesOf(runs, topic, after, withIds, control.signal)
  let next: Promise<IteratorResult<string, void>> | undefined
  return new ReadableStream({
    async pull(controller) {
      next ??= frames.next()
      const result = await within(KEEP_ALIVE_MS, next)
      if (result === undefined) return controller.enqueue(encoder.encode(KEEP_ALIVE))
      next = undefined
      if (result.done) controller.close()
      else controller.enqueue(encoder.encode(result.value))
    },
    async cancel() {
      control.abort()
      await frames.return()
    },
  })
}

/** The frames of each entry, and those that end the answer. */
async function* framesOf(
  runs: Runs,
  topic: string,
  after: string,
  withIds: boolean,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const from = parseOffset(after) ?? { after, skip: 0 } // what is no offset has a gap
  const entries = runs.entries(topic, { after: from.after, signal })
  const chunks = new Chunks()
  const text = (data: string, id: string) => frame(data, withIds ? id : undefined)
  let { skip } = from
  for await (const item of entries) {
    if (item.kind === 'gap') return yield text(GAP, item.id) + text(DONE, item.id)
    const own = chunks.take(item)
    const all = item.close && !chunks.isDone ? [...own, ...endingOf(item)] : own
    const frames = all.map((data, i) => (i < skip ? '' : text(data, formatOffset(item.id, i, i === all.length - 1))))
    skip = 0
    if (frames.length > 0) yield frames.join('')
  }
}

/** The value of a promise; undefined if that takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
