import type { Peers } from '../log.ts'
import * as talking from './lua/peers.ts'
import { streamedPairs } from './rows.ts'

const ANSWER_MS = 1000
/** What is asked and answered is soon of no interest. */
const KEPT = '100'

type Run = (script: string, ...values: readonly (string | number)[]) => Promise<unknown>
type Send = (command: readonly string[]) => Promise<unknown>

/** A question under way: answers may come before it is known from whom. */
interface Asked {
  readonly answers: Map<string, string>
  others?: readonly string[]
  done?(): void
}

/** The processes of one hub, who know of each other by leases and talk by a stream that the tail of each reads. */
export class RedisPeers implements Peers {
  readonly #run: Run
  readonly #send: Send
  readonly #stream: string
  readonly #name = crypto.randomUUID()
  readonly #asked = new Map<string, Asked>()
  #answer: ((question: string) => string) | undefined

  /** @param run,send reject with what a client can be told */
  constructor(run: Run, send: Send, stream: string) {
    this.#run = run
    this.#send = send
    this.#stream = stream
  }

  /** Says that we are there, which holds for 15 s. */
  async beat(): Promise<void> {
    await this.#run(talking.renewLease, this.#name, talking.LEASE_MS)
  }

  onAsked(answer: (question: string) => string): void {
    this.#answer = answer
  }

  async ask(question: string): Promise<readonly string[]> {
    const id = crypto.randomUUID()
    const asked: Asked = { answers: new Map() }
    this.#asked.set(id, asked)
    try {
      asked.others = (await this.#run(talking.ask, this.#name, id, question)) as string[]
      if (!isAnswered(asked)) await untilDone(asked)
      return [...asked.answers.values()]
    } catch {
      return [] // whoever cannot be asked is not counted
    } finally {
      this.#asked.delete(id)
    }
  }

  async take(bucket: string, count: number, perSecond: number): Promise<number> {
    return (await this.#run(talking.take, bucket, count, perSecond)) as number
  }

  /** Takes what the tail has brought. */
  hear(rows: readonly (readonly [string, readonly string[]])[]): void {
    for (const [, fields] of rows) {
      const { k, from, to, id, text } = streamedPairs(fields)
      if (k === 'ask' && from !== this.#name) this.#reply(from!, id!, text!)
      const asked = k === 'answer' && to === this.#name ? this.#asked.get(id!) : undefined
      if (!asked) continue
      asked.answers.set(from!, text!)
      if (isAnswered(asked)) asked.done?.()
    }
  }

  async close(): Promise<void> {
    for (const { done } of this.#asked.values()) done?.()
    await this.#run(talking.renewLease, this.#name, 0).catch(() => {}) // its lease will end
  }

  #reply(to: string, id: string, question: string): void {
    if (!this.#answer) return
    const answer = ['k', 'answer', 'to', to, 'from', this.#name, 'id', id, 'text', this.#answer(question)]
    this.#send(['XADD', this.#stream, 'MAXLEN', '~', KEPT, '*', ...answer]).catch(() => {})
  }
}

function isAnswered({ answers, others }: Asked): boolean {
  return others?.every((name) => answers.has(name)) === true
}

function untilDone(asked: Asked): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ANSWER_MS)
    asked.done = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}
