import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 20
const MAX_COMPLAINT_CHARS = 300

/** An event as a client's program prints it. */
export interface Heard {
  readonly event: string
  readonly data: string
  readonly id: string
}

const running = new Set<Running>()
process.once('exit', () => {
  for (const program of running) program.signal('SIGKILL')
})

/** A client's program on a stream: what it has printed so far. */
export class Running {
  readonly heard: Heard[] = []
  hasExited = false
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #complaint = ''

  constructor(command: readonly string[], url: string) {
    const [program, ...args] = command
    // A process group of its own, because some commands start others.
    this.#child = spawn(program!, [...args, url], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    running.add(this)
    let rest = ''
    // Not `readline`, which also splits at U+2028.
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.#take(line)
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-MAX_COMPLAINT_CHARS)
    })
    this.#exited = once(this.#child, 'close').then(() => {
      this.hasExited = true
      running.delete(this)
    })
  }

  /** The published events that were heard. */
  get entries(): Heard[] {
    return this.heard.filter(({ event }) => !event.startsWith('hub.'))
  }

  hears(event: string): boolean {
    return this.heard.some((heard) => heard.event === event)
  }

  /** The last line that the program wrote to stderr. */
  get complaint(): string {
    return this.#complaint.trim().split('\n').at(-1) ?? ''
  }

  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid!, signal)
    } catch {
      // The program has exited already.
    }
  }

  async stop(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exited
  }

  #take(line: string): void {
    try {
      this.heard.push(JSON.parse(line))
    } catch {
      this.#complaint += `${line}\n`
    }
  }
}

/** Waits until a condition holds, at most this long. Returns whether it holds. */
export async function holds(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  for (const deadline = performance.now() + ms; ; await pause(POLL_MS)) {
    if (await condition()) return true
    if (performance.now() > deadline) return false
  }
}
