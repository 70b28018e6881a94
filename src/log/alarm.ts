/** Calls a function at a time, once. */
export interface Alarm {
  /** Calls `run` at this time, in ms since 1970, or as soon as possible after it, and not what was set before. */
  set(time: number, run: () => void): void
  clear(): void
}

interface Part {
  readonly time: number
  readonly run: () => void
}

/** An alarm that several parts share: it is set to the earliest of their times. */
export class SharedAlarm {
  readonly #alarm: Alarm
  readonly #parts = new Set<Part>()
  /** The time for which the alarm is set; 0 for none. */
  #last = 0

  constructor(alarm: Alarm) {
    this.#alarm = alarm
  }

  /** An alarm that is set and cleared by itself. */
  part(): Alarm {
    let part: Part | undefined
    const clear = () => part !== undefined && this.#parts.delete(part)
    return {
      set: (time, run) => {
        clear()
        part = { time, run }
        this.#parts.add(part)
        this.#set()
      },
      clear: () => {
        if (clear()) this.#set()
      },
    }
  }

  /** The alarm has rung by a way of its own, because a platform called `Log.sweep`: nothing is set any more. Each part sets itself again. */
  forget(): void {
    this.#parts.clear()
    this.#last = 0
  }

  #set(): void {
    const time = Math.min(...Array.from(this.#parts, ({ time }) => time))
    if (time === this.#last && time > Date.now()) return // it is set, and setting it may cost a row
    this.#last = time
    if (time === Number.POSITIVE_INFINITY) this.#alarm.clear()
    else this.#alarm.set(time, this.#ring)
  }

  readonly #ring = (): void => {
    const now = Math.max(Date.now(), this.#last) // a timer may be early by a millisecond
    this.#last = 0
    const due = [...this.#parts].filter(({ time }) => time <= now)
    for (const part of due) this.#parts.delete(part)
    this.#set()
    for (const { run } of due) run()
  }
}

/** Longest delay of a timer, in ms; a longer one would end at once. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** An alarm of this process, by a timer that lets the process end, where the runtime has `unref`. */
export function timerAlarm(): Alarm {
  let timer: unknown
  return {
    set(time, run) {
      clearTimeout(timer as number | undefined)
      timer = setTimeout(run, Math.min(Math.max(0, time - Date.now()), MAX_DELAY_MS))
      ;(timer as { unref?: () => void }).unref?.()
    },
    clear: () => clearTimeout(timer as number | undefined),
  }
}
