import type { Peers } from '../log.ts'
import * as lua from './lua/peers.ts'
import { WIRE_LENGTH } from './lua/wire.ts'
import { fieldsOf, type StreamElement } from './rows.ts'
import type { RunScript } from './scripts.ts'

/** Longest wait for answers in ms. */
const ANSWER_TIMEOUT_MS = 1000

type Send = (command: readonly string[]) => Promise<unknown>

/** A question that this node has asked. Answers may arrive before the server's reply that names the other nodes. */
interface Question {
  readonly answers: Map<string, string>
  others?: readonly string[]
  onAnswered?(): void
}

/** The nodes of one hub. Each node has a lease that the others see; all nodes write questions and answers into one stream. */
export class RedisPeers implements Peers {
  readonly #run: RunScript
  readonly #send: Send
  readonly #stream: string
  readonly #name = crypto.randomUUID()
  readonly #questions = new Map<string, Question>()
  #answer: ((question: string) => string) | undefined

  /** @param run,send must reject with errors that may be shown to clients */
  constructor(run: RunScript, send: Send, stream: string) {
    this.#run = run
    this.#send = send
    this.#stream = stream
  }

  /** Tells the other nodes that this one is alive for the next 15 s. */
  async renewLease(): Promise<void> {
    await this.#run(lua.renewLease, this.#name, lua.LEASE_MS)
  }

  onAsked(answer: (question: string) => string): void {
    this.#answer = answer
  }

  async ask(question: string): Promise<readonly string[]> {
    const id = crypto.randomUUID()
    const asked: Question = { answers: new Map() }
    this.#questions.set(id, asked)
    try {
      asked.others = (await this.#run(lua.ask, this.#name, id, question)) as string[]
      if (!isAnswered(asked)) await untilAnswered(asked)
      return [...asked.answers.values()]
    } catch {
      return [] // without a server there are no answers
    } finally {
      this.#questions.delete(id)
    }
  }

  async take(bucket: string, count: number, perSecond: number): Promise<number> {
    return (await this.#run(lua.take, bucket, count, perSecond)) as number
  }

  /** Handles questions and answers that the tail has read. */
  receive(elements: readonly StreamElement[]): void {
    for (const [, fields] of elements) {
      const { k, from, to, id, text } = fieldsOf(fields)
      if (k === 'ask' && from !== this.#name) this.#reply(from!, id!, text!)
      const question = k === 'answer' && to === this.#name ? this.#questions.get(id!) : undefined
      if (!question) continue
      question.answers.set(from!, text!)
      if (isAnswered(question)) question.onAnswered?.()
    }
  }

  async close(): Promise<void> {
    for (const { onAnswered } of this.#questions.values()) onAnswered?.()
    await this.#run(lua.renewLease, this.#name, 0).catch(() => {}) // if this fails, the lease ends by itself
  }

  #reply(to: string, id: string, question: string): void {
    if (!this.#answer) return
    const fields = ['k', 'answer', 'to', to, 'from', this.#name, 'id', id, 'text', this.#answer(question)]
    // If the answer is lost, the asking node stops waiting after `ANSWER_TIMEOUT_MS`.
    this.#send(['XADD', this.#stream, 'MAXLEN', '~', `${WIRE_LENGTH}`, '*', ...fields]).catch(() => {})
  }
}

function isAnswered({ answers, others }: Question): boolean {
  return others?.every((name) => answers.has(name)) === true
}

function untilAnswered(question: Question): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ANSWER_TIMEOUT_MS)
    question.onAnswered = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}
