/** Where lines go: a terminal, a pipe, a socket or a file. */
export interface Sink {
  /**
   * Writes as many bytes as there is room for, without waiting. The caller offers the rest again.
   *
   * @returns the number of bytes written
   * @throws if the bytes cannot be written
   */
  write(bytes: Uint8Array): number
}

/** Most characters that wait for room. */
const MAX_WAITING = 256 * 1024
/** Pauses before a sink without room is tried again, from the first to the longest. */
const NO_ROOM_MS = { first: 10, longest: 500 }
/** Pause before a sink that failed is tried again: its reader may come back, or its disk have room. */
const FAILED_MS = 1000
/** Pause between attempts to write the last lines before the process ends. */
const DRAIN_MS = 10

const encoder = new TextEncoder()
const NOTHING = new Uint8Array()

/**
 * Writes lines without ever blocking or throwing. While nobody reads the output, lines wait up to a size limit. Lines above the limit and
 * lines whose write fails are dropped and counted. The count is written once, as soon as lines can be written again.
 */
export class LineWriter {
  readonly #open: () => Sink
  readonly #droppedLine: (count: number) => string
  #sink: Sink | undefined
  readonly #waiting: string[] = []
  #waitingLength = 0
  /** Bytes that the sink has not taken yet, and the lines that are lost if it fails. */
  #batch: Uint8Array = NOTHING
  #batchLines = 0
  #isMidLine = false
  #dropped = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #pauseMs = NO_ROOM_MS.first

  /**
   * @param open opens the sink, at the first line
   * @param droppedLine makes the line that says how many were dropped
   */
  constructor(open: () => Sink, droppedLine: (count: number) => string) {
    this.#open = open
    this.#droppedLine = droppedLine
  }

  /** Writes a line now, or when there is room for it. */
  write(line: string): void {
    const isFull = this.#waitingLength > 0 && this.#waitingLength + line.length > MAX_WAITING
    if (isFull || this.#dropped > 0) {
      this.#dropped++
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    if (!this.#retry) this.flush()
  }

  /** Writes as much as there is room for. */
  flush(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    try {
      this.#sink ??= this.#open()
      while (this.#nextBatch()) {
        const taken = this.#sink.write(this.#batch)
        if (taken === 0) {
          this.#retryIn(this.#pauseMs)
          return
        }
        this.#batch = this.#batch.subarray(taken)
        this.#isMidLine = this.#batch.length > 0
        this.#pauseMs = NO_ROOM_MS.first
      }
    } catch {
      this.#dropAll()
      this.#retryIn(FAILED_MS)
    }
  }

  /** Resolves when everything is written, when nobody can read it, or after this time. */
  async drain(ms: number): Promise<void> {
    const deadline = performance.now() + ms
    this.flush()
    while (this.#batch.length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
      this.flush()
    }
  }

  /** Makes the waiting lines the next batch, and after the last of them the count of those that were dropped. */
  #nextBatch(): boolean {
    if (this.#batch.length > 0) return true
    this.#batchLines = this.#waiting.length
    if (this.#waiting.length === 0) {
      if (this.#dropped === 0) return false
      this.#waiting.push(`${this.#isMidLine ? '\n' : ''}${this.#droppedLine(this.#dropped)}`)
      this.#batchLines = this.#dropped
      this.#dropped = 0
    }
    this.#batch = encoder.encode(`${this.#waiting.join('\n')}\n`)
    this.#waiting.length = 0
    this.#waitingLength = 0
    return true
  }

  #dropAll(): void {
    this.#dropped += this.#batchLines + this.#waiting.length
    this.#batch = NOTHING
    this.#batchLines = 0
    this.#waiting.length = 0
    this.#waitingLength = 0
  }

  #retryIn(ms: number): void {
    this.#pauseMs = Math.min(NO_ROOM_MS.longest, 2 * this.#pauseMs)
    this.#retry = setTimeout(() => this.flush(), ms)
    this.#retry.unref?.()
  }
}
