import { AppError, isLost, quote } from '../errors.ts'
import type { Published } from '../hub/internal.ts'
import type { Message } from '../log/log.ts'
import type { Ending, Run, RunInfo, RunMessage } from './run.ts'

/** What a producer needs of its hub, in this process or elsewhere. */
export interface Line {
  /** Publishes under a claim. Calls `stop` if the answer tells that somebody has asked for a stop. */
  publish(messages: readonly Message[], lease: Lease, stop: () => void): Promise<readonly Published[]>
  renew(topic: string, lease: Lease): Promise<RunInfo>
}

/** What a claim has given to its producer: the proof, and for how long it lasts without a sign of life. */
export interface Lease {
  readonly token: string
  readonly leaseMs: number
}

interface Claimed {
  readonly line: Line
  readonly token: string
  readonly info: RunInfo
  /** Whether something else gives the signs of life, so that this object renews nothing. */
  readonly isElsewhere?: boolean
  /** Called once the producer needs to hear of its run no more. */
  readonly onReleased: () => void
}

/** A lease is renewed once this share of it is over. While no answer comes, the next renewals follow after that share of the share. */
const RENEWALS = 3

/**
 * A claim that is renewed until the run ends. A publish is a sign of life too, so a busy producer renews nothing. A renewal without an answer
 * does not delay the next one. The run is lost to its producer if none is answered until the lease is over.
 */
export class Producer implements Run {
  readonly topic: string
  readonly fence: number
  readonly lastId: string | null
  readonly token: string
  readonly #line: Line
  readonly #lease: Lease
  readonly #onReleased: () => void
  readonly #control = new AbortController()
  readonly #stop = (): void => {
    this.#control.abort(
      new AppError(
        'run_stopped',
        `Somebody asked to stop the run of ${quote(this.topic)}: end it with outcome stopped`,
      ),
    )
  }
  #timer: ReturnType<typeof setTimeout> | undefined
  #isReleased = false
  /** Whether `end` is on its way: the run may have ended before its answer arrives, which is no loss. */
  #isEnding = false
  /** When the hub has last answered a sign of life, by `performance.now()`: the lease lasts at least from when that was sent. */
  #aliveAt = performance.now()
  /** When the newest renewal was sent, and why the newest one has failed. */
  #triedAt = this.#aliveAt
  #failure: unknown

  constructor({ line, token, info, isElsewhere, onReleased }: Claimed) {
    this.topic = info.topic
    this.fence = info.fence
    this.lastId = info.lastId
    this.token = token
    this.#line = line
    this.#lease = { token, leaseMs: info.leaseMs }
    this.#onReleased = onReleased
    if (!isElsewhere) this.#schedule()
    this.note(info)
  }

  get signal(): AbortSignal {
    return this.#control.signal
  }

  publish(message: RunMessage): Promise<Published>
  publish(messages: readonly RunMessage[]): Promise<readonly Published[]>
  async publish(given: RunMessage | readonly RunMessage[]): Promise<Published | readonly Published[]> {
    const sentAt = performance.now()
    try {
      const published = await this.#line.publish(this.#own(isList(given) ? given : [given]), this.#lease, this.#stop)
      this.#aliveAt = Math.max(this.#aliveAt, sentAt)
      return isList(given) ? published : published[0]!
    } catch (error) {
      throw this.#refused(error)
    }
  }

  async renew(): Promise<RunInfo> {
    const sentAt = performance.now()
    try {
      const info = await this.#line.renew(this.topic, this.#lease)
      this.#aliveAt = Math.max(this.#aliveAt, sentAt)
      this.note(info)
      return info
    } catch (error) {
      throw this.#refused(error)
    }
  }

  async end({ outcome = 'done', ...last }: Ending = {}): Promise<Published> {
    const messages = this.#own([{ ...last, close: true, ...(outcome !== 'done' && { outcome }) }])
    this.#isEnding = true
    try {
      const [published] = await this.#line.publish(messages, this.#lease, this.#stop)
      this.release()
      return published!
    } catch (error) {
      this.#isEnding = false
      throw this.#refused(error)
    }
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    clearTimeout(this.#timer)
    this.#onReleased()
  }

  /** Looks at the state of the topic's run, which may be that of another producer. */
  note(info: RunInfo | undefined): void {
    if (this.#isReleased || this.#isEnding) return
    if (!info || info.fence !== this.fence || info.outcome !== undefined) this.#lose(lostError(this.topic, OVERTAKEN))
    else if (info.isStopAsked) this.#stop()
  }

  #own(messages: readonly Omit<Message, 'topic' | 'run'>[]): readonly Message[] {
    const { topic, token } = this
    return messages.map((message) => ({ ...message, topic, run: token }))
  }

  /** A sign of life was refused, or got no answer: once nothing renews the lease, the run is lost, and another attempt cannot help. */
  #refused(error: unknown): unknown {
    if (isLost(error)) {
      if (!this.#isEnding) this.#lose(error)
      return error
    }
    this.#loseIfSilent()
    return this.#isReleased ? lostError(this.topic, UNRENEWED, error) : error
  }

  /** Gives up once the lease is over. A process that was stopped for long tries once more: perhaps nobody has taken over. */
  #loseIfSilent(): void {
    const hasTried = this.#triedAt > this.#aliveAt
    const isOver = performance.now() - this.#aliveAt >= this.#lease.leaseMs
    if (isOver && hasTried && !this.#isEnding) this.#lose(this.#failure ?? unanswered(this.topic))
  }

  #schedule(): void {
    const interval = this.#lease.leaseMs / RENEWALS
    const due = this.#triedAt > this.#aliveAt ? this.#triedAt + interval / RENEWALS : this.#aliveAt + interval
    this.#timer = setTimeout(() => this.#renewIfDue(interval), Math.max(0, due - performance.now()))
    ;(this.#timer as { unref?: () => void }).unref?.() // the timer keeps no process alive
  }

  #renewIfDue(interval: number): void {
    this.#loseIfSilent()
    if (this.#isReleased) return
    if (performance.now() - this.#aliveAt >= interval) {
      this.#triedAt = performance.now()
      this.renew().catch((error) => {
        this.#failure = error
      })
    }
    this.#schedule()
  }

  #lose(error: unknown): void {
    this.#control.abort(error)
    this.release()
  }
}

function isList(given: RunMessage | readonly RunMessage[]): given is readonly RunMessage[] {
  return Array.isArray(given)
}

function unanswered(topic: string): AppError {
  return new AppError('log_unavailable', `Cannot renew the lease of ${quote(topic)}: the hub has not answered in time`)
}

const OVERTAKEN = 'another producer has claimed the topic, or the run has ended'
const UNRENEWED = 'its lease is no longer renewed, and the hub has not answered'

function lostError(topic: string, why: string, cause?: unknown): AppError {
  return new AppError('run_lost', `The run of ${quote(topic)} is lost: ${why}`, { cause })
}
