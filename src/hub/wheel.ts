import { afterTurn, TURN_MS } from '../turn.ts'

/** A stream that has to act at certain times, on the clock of `performance.now()`. */
export interface Timed {
  /** Acts, and returns the time at which to call it again; infinity for never. */
  tick(now: number): number
}

/** Milliseconds between two looks at the clock. A tick is less than twice this late, unless the process is busy. */
const GRAIN_MS = 100

/** One timer for all streams. It calls the streams that are due, and runs only while a stream is on the wheel. */
export class Wheel {
  readonly #slots = new Map<number, Set<Timed>>()
  readonly #slotOf = new Map<Timed, number>()
  #timer: ReturnType<typeof setInterval> | undefined
  #passed = 0
  /** The slots that are due and whose streams have not all acted yet. */
  #due: number[] = []
  readonly #onError: (timed: Timed, cause: unknown) => void

  /** @param onError called with a stream whose tick has thrown, after the stream was taken off the wheel; must not throw */
  constructor(onError: (timed: Timed, cause: unknown) => void) {
    this.#onError = onError
  }

  add(timed: Timed, at: number): void {
    this.#take(timed)
    if (at === Number.POSITIVE_INFINITY) {
      this.#rest()
      return
    }
    this.#run()
    const slot = Math.max(Math.ceil(at / GRAIN_MS), this.#passed + 1)
    this.#slotOf.set(timed, slot)
    const others = this.#slots.get(slot)
    if (others) others.add(timed)
    else this.#slots.set(slot, new Set([timed]))
  }

  remove(timed: Timed): void {
    this.#take(timed)
    this.#rest()
  }

  #take(timed: Timed): void {
    const slot = this.#slotOf.get(timed)
    if (slot === undefined) return
    this.#slotOf.delete(timed)
    const others = this.#slots.get(slot)
    others?.delete(timed)
    if (others?.size === 0) this.#slots.delete(slot)
  }

  #run(): void {
    if (this.#timer !== undefined) return
    this.#passed = slotAt(performance.now()) - 1
    this.#timer = setInterval(() => this.#tick(), GRAIN_MS)
  }

  #rest(): void {
    if (this.#slotOf.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick(): void {
    const now = performance.now()
    const last = slotAt(now)
    // After a long pause of the process, it is cheaper to go through the slots in use than through all slots that have passed.
    const due =
      last - this.#passed > this.#slots.size
        ? [...this.#slots.keys()].filter((slot) => slot <= last).sort((a, b) => a - b)
        : range(this.#passed + 1, last)
    this.#passed = last
    const isUnderWay = this.#due.length > 0
    this.#due.push(...due)
    if (!isUnderWay) this.#work()
  }

  /** Calls the streams that are due. Thousands may be due at once: after `TURN_MS` the rest waits for the next turn. */
  #work(): void {
    const began = performance.now()
    for (let slot = this.#due[0]; slot !== undefined; slot = this.#due[0]) {
      for (const timed of this.#slots.get(slot) ?? []) {
        const now = performance.now()
        if (now - began > TURN_MS) {
          afterTurn(() => this.#work())
          return
        }
        this.#ask(timed, now)
      }
      this.#due.shift()
    }
  }

  #ask(timed: Timed, now: number): void {
    try {
      const next = timed.tick(now)
      if (this.#slotOf.has(timed)) this.add(timed, next)
    } catch (cause) {
      this.remove(timed)
      this.#onError(timed, cause)
    }
  }
}

function slotAt(ms: number): number {
  return Math.floor(ms / GRAIN_MS)
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
}
