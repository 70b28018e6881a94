import type { Client, Closed } from './client.js'

/**
 * The run of a topic: one producer at a time, and how it ended.
 *
 * @example
 * const textOf = ({ outcome, isStopAsked }: RunInfo) => outcome ?? (isStopAsked ? 'stopping' : 'running')
 */
export interface RunInfo {
  readonly topic: string
  /** Rises by 1 with each claim of the topic. */
  readonly fence: number
  readonly leaseMs: number
  readonly graceMs: number
  /** When the lease ends, as in RFC 3339. Missing once the run has ended. */
  readonly leaseEnd?: string
  /** Whether somebody has asked the producer to stop. */
  readonly isStopAsked: boolean
  /** Missing until the run has ended. */
  readonly outcome?: NonNullable<Closed['outcome']>
  /** Why the run has failed. */
  readonly detail?: string
  /** Position of the newest event of the topic. */
  readonly lastId: string | null
}

/**
 * Asks the producer of a topic to stop. Needs a grant to publish to `$stop/<topic>`. Asking again changes nothing.
 *
 * @param fence stops the run only if its present claim has this number
 * @returns the run; undefined if nobody has claimed the topic yet: without a fence the hub then tells the first claim, for ten minutes
 * @throws TidingsError `topic_closed` if the topic was closed without a run, and those of `request`
 *
 * @example
 * document.querySelector('button')!.onclick = () => stopRun(hub, 'ai/answer-1')
 */
export function stopRun(hub: Client, topic: string, fence?: number): Promise<RunInfo | undefined>

/**
 * The run of a topic; undefined if nobody has claimed it. Needs a grant to subscribe to the topic.
 *
 * @throws TidingsError those of `request`
 *
 * @example
 * const run = await runState(hub, 'ai/answer-1')
 * if (run?.outcome === 'failed') console.error(run.detail)
 */
export function runState(hub: Client, topic: string): Promise<RunInfo | undefined>
