import { defaultLogOptions, type Log, type LogOptions } from '../log.ts'
import { Warnings } from '../warnings.ts'
import type { RedisClient } from './client.ts'
import { commandsOn } from './commands.ts'
import { Commits } from './commits.ts'
import { Delivery } from './delivery.ts'
import { eraser } from './erase.ts'
import { closedError, queryError, unavailableError } from './errors.ts'
import { Health } from './health.ts'
import { Identity } from './identity.ts'
import { RedisPeers } from './peers.ts'
import { readerOf } from './reader.ts'
import { RunChanges } from './run-changes.ts'
import { LOOK_MS, RunEnds } from './run-ends.ts'
import { redisRuns } from './runs.ts'
import { Scripts } from './scripts.ts'
import { Tail } from './tail.ts'

/** Time in ms between two renewals of this node's lease. Each renewal also reads how the server is configured. */
const RENEWAL_MS = 5000
/** Longest time in ms between two sweeps for entries that are too old. */
const SWEEP_MS = 60_000

/** The prefix of a hub's keys. The name in braces is the hash tag, which keeps the keys in one slot of a cluster. */
export function keyPrefix(name: string): string {
  return `tidings:{${name}}`
}

interface RedisLogOptions extends Partial<LogOptions> {
  /** The hub's name: each name has a log of its own. */
  readonly name: string
}

/**
 * Opens a log in Redis (7 or newer) or Valkey that many processes share: the nodes of a hub. The log is one stream with indexes. Each node
 * appends, reads and follows by itself; no node holds state that the others need.
 *
 * A message goes this way: `Commits` appends the message with a script and passes it to `Delivery`, which calls this node's followers. The
 * `Tail` of each other node reads the message and passes it to that node's `Delivery`. `Identity` refuses scripts until it knows which log
 * the server holds.
 *
 * @throws AppError `log_unavailable`, `log_unusable` (a newer release wrote the log)
 */
export async function redisLog(client: RedisClient, options: RedisLogOptions): Promise<Log> {
  const all = { ...defaultLogOptions, ...options }
  const base = keyPrefix(options.name)
  const closing = new AbortController()
  const { signal } = closing
  const rethrow = (cause: unknown) => {
    throw queryError(cause)
  }

  const warnings = new Warnings(all.warn)
  const scripts = new Scripts(client, base)
  const peers = new RedisPeers(
    (script, ...args) => scripts.run(script, ...args).catch(rethrow),
    (command) => scripts.send(command).catch(rethrow),
    `${base}:wire`,
  )
  const delivery = new Delivery((entries) => commits.noteDelivery(entries))
  const runChanges = new RunChanges()
  const runsChanged = runChanges.hear.bind(runChanges)
  const identity = new Identity(client, scripts, warnings, all.newEpoch ?? '', {
    deliveredTo: () => delivery.deliveredTo,
    verified: () => peers.renewLease(),
    replaced(log) {
      commits.restart()
      tail.restart(log)
      delivery.restart(log)
    },
  })
  const commands = commandsOn(identity)
  const commits = new Commits(identity, commands, delivery, runsChanged, signal, all)
  const runEnds = new RunEnds({ commands, commits, closing: signal })
  const reader = readerOf(commands.query, signal)
  const { trimmedCount } = all
  const erase = eraser({ identity, commands, commits, delivery, topics: reader.topics, runsChanged, trimmedCount })
  const health = new Health({
    query: commands.query,
    commits,
    deliveredTo: () => delivery.deliveredTo,
    tailError: () => tail.error,
  })
  const tail = new Tail(base, signal, { client, identity, delivery, peers, runChanges, probe: () => health.probe() })

  await identity.open()
  const followed = tail.run()
  client.onConnected(() => runEnds.disconnected())
  await runEnds.look()
  every(LOOK_MS, signal, () => runEnds.look())
  every(RENEWAL_MS, signal, async () => {
    await peers.renewLease()
    await identity.refreshServer()
  })
  const { ageMs } = all.retention
  if (ageMs !== undefined) {
    await commits.sweep()
    every(Math.min(ageMs, SWEEP_MS), signal, () => commits.sweep())
  }
  let closed: Promise<void> | undefined

  async function close(): Promise<void> {
    closing.abort()
    await commits.idle()
    identity.close()
    delivery.close()
    await peers.close()
    await scripts.close()
    await followed
  }

  return {
    get epoch() {
      return identity.epoch
    },
    get durability() {
      return identity.durability
    },
    get warnings() {
      return warnings.list
    },
    peers,
    runs: redisRuns(commands, runChanges, all),
    ...reader,

    append(messages) {
      if (signal.aborted) return Promise.reject(closedError())
      if (!client.isConnected) return Promise.reject(unavailableError())
      return messages.length === 0 ? Promise.resolve([]) : commits.append(messages)
    },

    async erase(topic, seq) {
      if (signal.aborted) throw closedError()
      return erase(topic, seq)
    },

    follow: (deliver, erased = () => {}, restarted = () => {}) => delivery.follow(deliver, erased, restarted),

    async sweep() {
      await commits.sweep()
      await runEnds.lookNow()
    },

    async check() {
      if (signal.aborted) throw closedError()
      return health.check()
    },

    close() {
      closed ??= close()
      return closed
    },
  }
}

/** Calls `act` periodically until the signal is aborted. */
function every(ms: number, until: AbortSignal, act: () => Promise<void>): void {
  const timer = setInterval(() => void act().catch(() => {}), ms) // the next call may succeed
  until.addEventListener('abort', () => clearInterval(timer))
  ;(timer as { unref?: () => void }).unref?.() // the timer keeps no process alive
}
