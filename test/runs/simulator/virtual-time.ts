import { createHash } from 'node:crypto'
import { vi } from 'vitest'

const BEGIN = Date.UTC(2030, 0, 1)
/** Turns without progress after which a simulation counts as stuck. */
const MOST_TURNS = 100_000

/** Timers, `Date` and `performance.now()` of a simulation: time passes only when nothing is left to do at the present moment. */
export class VirtualTime {
  #immediates = 0
  readonly #realImmediate = setImmediate

  constructor() {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
      now: BEGIN,
    })
    vi.stubGlobal('setImmediate', (task: () => void) => {
      this.#immediates++
      this.#realImmediate(() => {
        this.#immediates--
        task()
      })
    })
    // WebCrypto hashes in another thread, so a moment would never be known to be over.
    vi.spyOn(crypto.subtle, 'digest').mockImplementation(async (_, data) => {
      const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data
      return new Uint8Array(createHash('sha256').update(new Uint8Array(bytes)).digest()).buffer
    })
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const control = new AbortController()
      setTimeout(() => control.abort(new DOMException('Timed out', 'TimeoutError')), ms)
      return control.signal
    })
  }

  /** Lets time pass until the work is over. @throws after `limitMs`, if the work waits for nothing, and if something is broken */
  async run<T>(work: Promise<T>, limitMs: number, broken: readonly string[]): Promise<T> {
    const until = performance.now() + limitMs
    let isOver = false
    const over = () => {
      isOver = true
    }
    work.then(over, over)
    for (let turns = 0; ; turns++) {
      await this.#settle()
      if (isOver) return work
      if (broken.length > 0) throw new Error(broken.join('\n'))
      const now = performance.now()
      if (now > until) throw new Error(`Not over after ${limitMs} ms`)
      if (turns > MOST_TURNS || vi.getTimerCount() === 0) throw new Error('Not over, and nothing will happen any more')
      vi.advanceTimersToNextTimer()
      vi.advanceTimersByTime(0) // timers of one moment ring together, as they do in a busy process
      if (performance.now() > now) turns = 0
    }
  }

  /** Sets the clock of the day, which moves no timer. */
  setClock(byMs: number): void {
    vi.setSystemTime(Date.now() + byMs)
  }

  end(): void {
    vi.useRealTimers()
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
  }

  /** Resolves once all that can happen at this moment has happened. */
  async #settle(): Promise<void> {
    for (let turns = 0; turns === 0 || this.#immediates > 0; turns++) {
      if (turns > MOST_TURNS) throw new Error('Not over: something happens again and again, and no time passes')
      await new Promise<void>((resolve) => this.#realImmediate(resolve))
    }
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
