import { AppError } from '../errors.ts'
import { randomName } from '../hub/random.ts'
import { MAX_DETAIL_BYTES } from '../log/runs.ts'
import { bytesOf, introductionOf, MAX_ENTRY_BYTES, split, whole } from './parts.ts'
import type { Ending, Run, RunMessage } from './run.ts'

/**
 * How small chunks are joined to entries. An entry is published once it has `count` chunks, once the next chunk does not fit into its
 * `bytes`, or `ms` after its first chunk.
 *
 * @example
 * const options: JoinOptions = { count: 32, ms: 50 }
 */
export interface JoinOptions {
  /** 1 by default: an entry for each chunk. */
  readonly count?: number
  /** `MAX_ENTRY_BYTES` by default. A longer chunk is split. */
  readonly bytes?: number
  /** 50 by default. */
  readonly ms?: number
}

/** How an entry has chunks, if not as `whole` makes it. The data must be no longer than that of `whole`. */
export type EntryOf = (chunks: readonly string[]) => RunMessage

const JOIN_MS = 50
/** Most bytes of entries that wait for the hub before `write` waits too. */
const MAX_WAITING_BYTES = 1024 * 1024
/** What a message takes in the body of a request beside its data. */
const MESSAGE_BYTES = 100
/** Pauses between attempts to publish while the hub is unavailable, from the first to the longest. */
const RETRY_MS = { first: 50, longest: 2000 }

/**
 * Publishes the chunks of a stream under a run, in order. While the hub is unavailable, the writer repeats what it could not publish until
 * the run is lost; keys make sure that nothing is published twice.
 *
 * @example
 * const writer = new ChunkWriter(await runs(hub).claim('ai/answer-1'), 'answer-1', { count: 32 })
 * for (const token of ['Hel', 'lo']) await writer.write(token)
 * await writer.end()
 */
export class ChunkWriter {
  readonly #run: Pick<Run, 'publish' | 'end'>
  readonly #count: number
  readonly #maxBytes: number
  readonly #ms: number
  readonly #entryOf: EntryOf
  /** Begins the keys of this writer: after a delete, a topic still knows the keys of the writers before. */
  readonly #name = randomName()
  #written = 0
  #introduction: RunMessage | undefined
  /** Chunks of the entry that is not full yet. */
  #open: string[] = []
  #openBytes = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #waiting: { readonly message: RunMessage; readonly bytes: number }[] = []
  #waitingBytes = 0
  #publishing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  /** @param id introduces the stream, see `introductionOf`; undefined if something else names it */
  constructor(
    run: Pick<Run, 'publish' | 'end'>,
    id: string | undefined,
    { count = 1, bytes = MAX_ENTRY_BYTES, ms = JOIN_MS }: JoinOptions = {},
    entryOf: EntryOf = whole,
  ) {
    this.#run = run
    this.#introduction = id === undefined ? undefined : introductionOf(id)
    this.#entryOf = entryOf
    this.#count = count
    this.#maxBytes = bytes
    this.#ms = ms
  }

  /** Takes a chunk, and waits only if too much waits already. @throws AppError of `Run.publish`, for this or an earlier chunk */
  async write(chunk: string): Promise<void> {
    this.#assertWorking()
    const bytes = bytesOf(chunk)
    if (this.#openBytes + bytes > this.#maxBytes) this.#close()
    if (bytes > this.#maxBytes) for (const message of split(chunk, this.#maxBytes)) this.#enqueue(message)
    else this.#join(chunk, bytes)
    await this.#room()
  }

  /** Resolves once all chunks are durable. @throws AppError of `Run.publish` */
  async flush(): Promise<void> {
    this.#introduce()
    this.#close()
    while (this.#publishing) await this.#publishing
    this.#assertWorking()
  }

  /** Publishes what is left, and ends the run. @throws AppError of `Run.publish` and `Run.end` */
  async end(ending: Ending = {}): Promise<void> {
    await this.flush()
    await this.#end(ending)
  }

  /** Publishes what can be published, and ends the run as failed. @param detail cut to what fits. @throws AppError of `Run.end` */
  async fail(detail: string): Promise<void> {
    await this.flush().catch(() => {}) // the chunks are incomplete in any case, and readers are told
    await this.#end({ outcome: 'failed', detail: detailOf(detail) })
  }

  #join(chunk: string, bytes: number): void {
    this.#open.push(chunk)
    this.#openBytes += bytes
    if (this.#open.length >= this.#count) this.#close()
    else this.#timer ??= setTimeout(() => this.#close(), this.#ms)
  }

  /** Closes the entry that is not full yet. */
  #close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#open.length > 0) this.#enqueue(this.#entryOf(this.#open))
    this.#open = []
    this.#openBytes = 0
  }

  /** Late, so that the first chunk is published at the same time. */
  #introduce(): void {
    const introduction = this.#introduction
    this.#introduction = undefined
    if (introduction) this.#enqueue(introduction)
  }

  #enqueue(message: RunMessage): void {
    if (this.#failure) return // what follows a chunk that is missing is not published
    this.#introduce()
    const bytes = bytesOf(message.data) + MESSAGE_BYTES
    this.#waiting.push({ message: { ...message, key: this.#nextKey() }, bytes })
    this.#waitingBytes += bytes
    this.#publishing ??= this.#publishAll()
  }

  async #room(): Promise<void> {
    while (this.#publishing && this.#waitingBytes > MAX_WAITING_BYTES) await this.#publishing
    this.#assertWorking()
  }

  /** Publishes what waits, as much at a time as fits into the body of a request. */
  async #publishAll(): Promise<void> {
    await undefined // what is written in this turn goes together
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#take()
        await this.#repeat(() => this.#run.publish(batch))
      }
    } catch (error) {
      this.#failure = { error }
    } finally {
      this.#publishing = undefined // at once, so that what is written next is not left waiting
    }
  }

  #take(): readonly RunMessage[] {
    const batch: RunMessage[] = []
    let bytes = 0
    while (this.#waiting.length > 0 && (batch.length === 0 || bytes + this.#waiting[0]!.bytes <= MAX_ENTRY_BYTES)) {
      const next = this.#waiting.shift()!
      batch.push(next.message)
      bytes += next.bytes
    }
    this.#waitingBytes -= bytes
    return batch
  }

  async #end(ending: Ending): Promise<void> {
    const keyed = { ...ending, key: this.#nextKey() }
    await this.#repeat(() => this.#run.end(keyed))
  }

  /** Sends until the hub answers, or until the run is lost, which its producer then says. */
  async #repeat(send: () => Promise<unknown>): Promise<void> {
    for (let pauseMs = RETRY_MS.first; ; pauseMs = Math.min(2 * pauseMs, RETRY_MS.longest)) {
      try {
        await send()
        return
      } catch (error) {
        const mayRepeat = error instanceof AppError && (error.isTemporary || error.code === 'outcome_unknown')
        if (!mayRepeat) throw error
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  #nextKey(): string {
    return `${this.#name}/${this.#written++}`
  }

  #assertWorking(): void {
    if (this.#failure) throw this.#failure.error
  }
}

/** A text as detail of an outcome: well-formed, without NUL, and cut to `MAX_DETAIL_BYTES`. */
export function detailOf(text: string): string {
  const detail = text.toWellFormed().replaceAll('\0', '')
  const { read } = new TextEncoder().encodeInto(detail, new Uint8Array(MAX_DETAIL_BYTES))
  return detail.slice(0, read)
}
