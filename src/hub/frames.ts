import type { Frame } from './frame.ts'

/** Frames of rising seqs: added at the end, dropped at the start, found by halving. */
export class Frames {
  #list: (Frame | undefined)[] = []
  #start = 0

  get size(): number {
    return this.#list.length - this.#start
  }

  /** The newest. */
  get last(): Frame | undefined {
    return this.#list.at(-1)
  }

  push(frame: Frame): void {
    this.#list.push(frame)
  }

  /** Takes the oldest out. */
  shift(): Frame {
    const frame = this.#list[this.#start]!
    this.#list[this.#start++] = undefined
    if (this.#start * 2 > this.#list.length && (this.#start > 1024 || this.size === 0)) {
      this.#list = this.#list.slice(this.#start)
      this.#start = 0
    }
    return frame
  }

  /** Those after a seq, oldest first. */
  *after(seq: number): Generator<Frame, void, undefined> {
    for (let i = this.#find(seq + 1); i < this.#list.length; i++) yield this.#list[i]!
  }

  /** Whether a frame says how its topic, whose frames these are, stands: the newest, and with a close that says nothing the one before. */
  isStanding(frame: Frame): boolean {
    const last = this.#list.at(-1)
    return frame === last || (last?.says === false && frame === this.#list.at(-2))
  }

  #find(seq: number): number {
    let low = this.#start
    let high = this.#list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#list[middle]!.seq < seq) low = middle + 1
      else high = middle
    }
    return low
  }
}
