import type { LogOptions } from '../log.ts'
import { closedRunError, lostError, stateOfRun, takenError, tooManyRunsError } from '../run-rules.ts'
import type { Claim, OutcomeName, RunLog, RunQuery, RunState } from '../runs.ts'
import type { Commands } from './commands.ts'
import * as lua from './lua/runs.ts'
import type { Announced, RunChanges } from './run-changes.ts'

/** The state of a run in a script's reply; null if nobody has claimed the topic. */
type State =
  | readonly [
      ...[topic: string, fence: number, leaseMs: number, graceMs: number, leaseEnd: number, stop: number],
      ...[outcome: OutcomeName | null, detail: string | null],
    ]
  | null

/** The reply of a script that refuses a change. */
type Refused = readonly ['topic_closed' | 'run_taken' | 'too_many_runs', number?]

/** The runs of a log in Redis. Every decision is made by a script, so it is the same on all nodes. */
export function redisRuns(
  { query, change }: Commands,
  changes: RunChanges,
  { maxRuns, stopAgeMs, stopCount }: Pick<LogOptions, 'maxRuns' | 'stopAgeMs' | 'stopCount'>,
): RunLog {
  const accept = (topic: string, reply: unknown): State => {
    const [first, second] = reply as Refused | readonly [Announced, State]
    if (first === 'topic_closed') throw closedRunError(topic)
    if (first === 'too_many_runs') throw tooManyRunsError()
    if (first === 'run_taken') throw takenError(topic, second as number, Date.now())
    changes.hear(first)
    return second as State
  }

  return {
    async claim(topic: string, { token, leaseMs, graceMs, key }: Claim) {
      const row = JSON.stringify({ p: token, l: leaseMs, g: graceMs, k: key })
      return stateOf(accept(topic, await change(lua.claim, topic, row, stopAgeMs, maxRuns)))!
    },

    async renew(topic: string, token: string) {
      const state = stateOf((await query(lua.renew, topic, token)) as State)
      if (!state) throw lostError(topic)
      return state
    },

    async stop(topic: string, fence = 0) {
      return stateOf(accept(topic, await change(lua.stop, topic, fence, stopAgeMs, stopCount)))
    },

    async get(topics: readonly string[]) {
      return ((await query(lua.runs, JSON.stringify(topics))) as State[]).map(stateOf)
    },

    async list({ prefix, after, limit }: RunQuery) {
      const states = (await query(lua.runs, '[]', prefix, after, limit)) as State[]
      return states.map((state) => stateOf(state)!)
    },

    watch: (changed) => changes.watch(changed),
  }
}

function stateOf(state: State): RunState | undefined {
  if (state === null) return
  const [topic, fence, leaseMs, graceMs, leaseEnd, stop, outcome, detail] = state
  const ended = { ...(outcome !== null && { outcome }), ...(detail !== null && { detail }) }
  return stateOfRun({ topic, fence, leaseMs, graceMs, stop, ...ended }, leaseEnd)
}
