import { AppError } from '../errors.ts'
import type { Runs } from './run.ts'

/*
 * A pointer is a topic that names the newest run of a foreign object, such as a chat. It is closed, and its one entry has the name. A program
 * cannot forget to clear it: whether there is something to follow is the state of the run that it names, and a stop or a delete of that run
 * cannot hit a newer one, because each run has a topic of its own.
 */

/** What a pointer names, and where in the hub's order it was set: before the first entry of the run, if that is published after `point`. */
export interface Pointed {
  /** The topic of the newest run. */
  readonly run: string
  readonly id: string
}

/** Claims with the same key take over from each other at once, so the last of several programs that set a pointer wins. */
const KEY = 'pointer'
/** A program that ends while it sets a pointer leaves an empty one after this time, in ms. */
const LEASE_MS = 1000
/** Longest wait for another program that sets the pointer, in ms. */
const WAIT_MS = 3000
const ATTEMPTS = 10

/**
 * Makes a pointer name a run.
 *
 * @param ids the foreign ids of which the topics were made, for those who read the log: a topic may have a hash of its id
 * @returns the position of its entry
 * @throws AppError `run_taken` (the topic is a run, or too many programs set it at the same time), and those of `Runs`
 * @example
 * await point(runs(hub), 'ai/chat-1', 'ai/chat-1/answer-2')
 */
export async function point(
  runs: Runs,
  pointer: string,
  run: string,
  ids: Readonly<Record<string, string>> = {},
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    await runs.delete(pointer)
    try {
      const setting = await runs.claim(pointer, { key: KEY, leaseMs: LEASE_MS, graceMs: 0 })
      const { id } = await setting.end({ data: JSON.stringify({ run, ...ids }) }).finally(() => setting.release())
      return id
    } catch (error) {
      if (!isOvertaken(error) || attempt === ATTEMPTS) throw error
    }
  }
}

/** What a pointer names; undefined if it was never set. @throws AppError of `Runs` */
export async function pointed(runs: Runs, pointer: string): Promise<Pointed | undefined> {
  if (!(await runs.state(pointer))) return
  let found: Pointed | undefined
  for await (const item of runs.entries(pointer, { signal: AbortSignal.timeout(WAIT_MS) }))
    if (item.kind === 'entry' && item.data !== undefined)
      found = { run: (JSON.parse(item.data) as { run: string }).run, id: item.id }
  return found
}

/** Whether another program has set the pointer in the meantime. */
function isOvertaken(error: unknown): boolean {
  return error instanceof AppError && ['topic_closed', 'run_lost', 'run_taken'].includes(error.code)
}
