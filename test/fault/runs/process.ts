import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Order, Step } from './order.ts'

/** Ends a producer that does not end by itself, so that a test says what it waited for. */
const LIMIT_MS = 60_000

/** A producer in a process of its own. */
export class ProducerProcess {
  readonly order: Order
  readonly steps: Step[] = []
  /** When its process has ended, by `performance.now()`; undefined while it lives. */
  endedAt: number | undefined
  errors = ''
  readonly #child: ChildProcess
  readonly ended: Promise<void>

  constructor(order: Order) {
    this.order = order
    const program = join(import.meta.dirname, 'producer.ts')
    const child = spawn(process.execPath, [program, JSON.stringify(order)], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.steps.push(JSON.parse(line))
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
    })
    const limit = setTimeout(() => {
      this.errors += `not ended after ${LIMIT_MS / 1000} s: ${JSON.stringify(this.steps.slice(-3))}`
      child.kill('SIGKILL')
    }, LIMIT_MS)
    this.ended = once(child, 'close').then(() => {
      clearTimeout(limit)
      this.endedAt = performance.now()
    })
  }

  /** Whether it has said by itself why it has ended. */
  get over(): string | undefined {
    const last = this.steps.at(-1)
    return last && 'over' in last ? last.over : undefined
  }

  get hasBegun(): boolean {
    return this.steps.length > 0
  }

  /** @returns whether it was alive */
  async kill(): Promise<boolean> {
    const killed = this.#child.exitCode === null && this.#child.kill('SIGKILL')
    await this.ended
    return killed && this.#child.signalCode === 'SIGKILL'
  }
}
