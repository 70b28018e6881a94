import type { Commands } from './commands.ts'
import type { Commits } from './commits.ts'
import { OVER_STEP, over } from './lua/runs.ts'

/** Time in ms between two looks. */
export const LOOK_MS = 500
/** Longest time in ms between two looks without which the connection counts as broken: neither this node nor its server was stalled. */
const MAX_BREAK_MS = 2000
/** By how many ms the server's clock may differ from this node's between two looks. More means that a clock was set. */
const MAX_DRIFT_MS = 1000

interface Look {
  /** The server's time, in ms since 1970. */
  readonly time: number
  /** By `performance.now()`. */
  readonly at: number
  /** Where the next look goes on to bring forward deadlines; '' once all were looked at. */
  readonly cursor: string
}

/** The first look since the connection was last broken, and the latest look. */
interface Connection {
  readonly first: Look
  last: Look
}

interface Parts {
  readonly commands: Commands
  readonly commits: Commits
  readonly closing: AbortSignal
}

/**
 * Ends the runs whose lease and grace time are over, on any node. All nodes look; `commit` refuses the close of a run that another node
 * has ended, or whose producer has given a sign of life since the look.
 *
 * Deadlines are times of the server. While a node has no connection, its producers cannot renew their leases. So a node ends a run only
 * once it has been connected for a whole lease of that run: an outage adds at most one lease.
 */
export class RunEnds {
  readonly #parts: Parts
  /** Undefined while the connection is broken. */
  #connected: Connection | undefined
  #looking: Promise<void> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Notes that the connection was broken. */
  disconnected(): void {
    this.#connected = undefined
  }

  /** Looks for runs that are over and ends them, unless a look is under way. */
  async look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch(() => this.disconnected()) // the next look begins anew
      .finally(() => {
        this.#looking = undefined
      })
    await this.#looking
  }

  /** Begins a look after the present one, if there is one. */
  async lookNow(): Promise<void> {
    await this.#looking
    await this.look()
  }

  get #cursor(): string {
    return this.#connected?.last.cursor ?? ''
  }

  async #look(): Promise<void> {
    for (let offset = 0, isMore = true; isMore && !this.#parts.closing.aborted; ) {
      const { looked, ended, failed } = await this.#step(offset)
      offset += looked - ended
      isMore = !failed && (looked === OVER_STEP || this.#cursor !== '')
    }
  }

  async #step(offset: number) {
    const { commands, commits } = this.#parts
    const connected = this.#connected
    const connectedMs = connected ? Math.floor(performance.now() - connected.first.at) : 0
    const reply = await commands.query(over, connectedMs, offset, connected ? this.#cursor : 0)
    const [time, looked, found, cursor] = reply as [number, number, string[], string]
    if (!this.#continues(connected, { time, at: performance.now(), cursor }))
      return { looked: 0, ended: 0, failed: false }
    const ends: Promise<unknown>[] = []
    for (let i = 0; i < found.length; i += 2)
      ends.push(commits.append([{ topic: found[i]!, close: true, outcome: 'abandoned', run: found[i + 1]! }]))
    const ended = (await Promise.allSettled(ends)).filter(isSettledByServer).length
    return { looked, ended, failed: ended < ends.length }
  }

  /** Records a look. Returns whether the connection has not been broken since the look before. @param connected before the look */
  #continues(connected: Connection | undefined, look: Look): boolean {
    if (!connected) this.#connected = { first: look, last: look }
    if (!connected || connected !== this.#connected) return false
    if (isBreak(connected.last, look)) {
      this.disconnected()
      return false
    }
    connected.last = look
    return true
  }
}

function isBreak(before: Look, after: Look): boolean {
  const ms = after.at - before.at
  return ms > MAX_BREAK_MS || Math.abs(after.time - before.time - ms) > MAX_DRIFT_MS
}

/** Whether a run is not over any more: it was ended, here or by another node, or its producer has given a sign of life. */
function isSettledByServer(result: PromiseSettledResult<unknown>): boolean {
  if (result.status === 'fulfilled') return true
  const { code } = result.reason as { code?: string }
  return code === 'topic_closed' || code === 'run_taken' || code === 'run_lost'
}
