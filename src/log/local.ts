import { AppError } from '../errors.ts'
import type { Filter } from '../topic.ts'
import { nextTurn, Turns } from '../turn.ts'
import { ActiveRuns } from './active-runs.ts'
import { type Alarm, SharedAlarm, timerAlarm } from './alarm.ts'
import type { Draft } from './draft.ts'
import { Followers } from './followers.ts'
import { Gaps } from './gaps.ts'
import { type Batch, GroupCommit } from './group.ts'
import { LocalRuns } from './local-runs.ts'
import type {
  Beginning,
  Deliver,
  Durability,
  Entry,
  Erased,
  Log,
  LogOptions,
  Message,
  Page,
  ReadLimit,
  Receipt,
  TopicQuery,
  TopicState,
} from './log.ts'
import { lossAfter } from './rules.ts'
import { merge, scan } from './scan.ts'
import { seekLast, seekSince } from './seek.ts'
import { SWEEP_STEP, Sweeper } from './sweeper.ts'
import type { Tables, TopicRow } from './tables.ts'
import { Transactions } from './transactions.ts'

/** A commit that trims looks at this many rows, plus twice its entries: a lowered limit is reached in small steps, not in a long one. */
const TRIM_STEP = 64
/** A check relies on the last successful commit for this long, because a check costs an fsync and anybody may ask for one. */
const CHECK_MS = 1000

interface LocalLogOptions extends LogOptions {
  readonly durability: Durability
  /** Calls the log when its oldest entry is too old, and when a run is over; by default a timer. */
  readonly alarm?: Alarm | undefined
  /** Whether the ends of leases are stored, because the storage is closed whenever nobody uses it. */
  readonly keepsLeases?: boolean | undefined
}

/** The arguments of a call of `Erased`. */
interface Erasure {
  readonly topic: string
  readonly seq: number | undefined
  readonly upTo: number
}

/** The log of one process: everything that `Log` promises, except the storage, which `tables` provides. */
export function localLog(tables: Tables, options: LocalLogOptions): Log {
  const { ageMs } = options.retention
  const followers = new Followers()
  const commits = new GroupCommit(commit, options.maxPendingBytes)
  /** Lets one page or search run per turn, so that other work runs in between: each may look at many rows, even if it returns none. */
  const reads = new Turns()
  const gaps = new Gaps(tables, reads)
  const active = new ActiveRuns(tables, options.keepsLeases === true)
  const transactions = new Transactions(tables, options, active, { committed, failed, recovered: deliverRecovered })
  const { epoch, head } = transactions.state
  let deliveredTo = head
  /** Erasures whose commit failed. The log may have made them all the same. */
  const uncertain: Erasure[] = []
  let closing: Promise<void> | undefined
  const alarm = new SharedAlarm(options.alarm ?? timerAlarm())
  const sweeper = new Sweeper({ tables, transactions, commits, ageMs, alarm: alarm.part() })
  const runs = new LocalRuns({ tables, transactions, commits, active, alarm: alarm.part(), settled, assertOpen })
  /** Resolves once what became too old while the log was closed is gone; reads wait for it. Undefined from then on. */
  let opening =
    ageMs === undefined
      ? undefined
      : sweeper.sweep().then(() => {
          opening = undefined
        })

  return {
    epoch,
    durability: options.durability,
    get warnings() {
      return tables.warnings?.() ?? []
    },
    runs,

    append(messages: readonly Message[]): Promise<readonly Receipt[]> {
      if (closing) return Promise.reject(closed())
      return messages.length === 0 ? Promise.resolve([]) : commits.append(messages)
    },

    async read(after: number, limit: ReadLimit, filter: Filter, isGone = never): Promise<Page> {
      await reads.next()
      await opening
      await recovered()
      while (transactions.flushing || !gaps.knows(filter, after)) {
        if (isGone()) return { entries: [], scannedTo: after }
        await (transactions.flushing ?? gaps.learn(filter, after, isGone))
      }
      if (closing) throw closed()
      const { state } = transactions
      const read = filter.patterns.length > 0 ? scan : merge
      const page = read(tables, after, limit, filter, state.head)
      const trimmed = lossAfter(after, gaps.last(filter), state)
      return trimmed ? { ...page, trimmed } : page
    },

    async seek(beginning: Beginning, filter: Filter, isGone = never) {
      await reads.next()
      await settled()
      const { head, steps } = transactions.state
      if ('last' in beginning) return seekLast(tables, filter, beginning.last, head, reads, isGone)
      return seekSince(tables, beginning.since, head, steps)
    },

    async topics(query: TopicQuery) {
      if ('prefix' in query) await nextTurn() // so that other work runs between the pages of a long listing
      await settled()
      if ('prefix' in query) return tables.topics(query.prefix, query.after, query.limit).map(stateOf)
      return Array.from(query.names, (topic) => stateOf({ topic, ...(tables.topic(topic) ?? emptyTopic) }))
    },

    async erase(topic: string, seq?: number) {
      if (closing) throw closed()
      try {
        const erased = seq === undefined ? await eraseTopic(topic) : await eraseOne(topic, seq)
        if (erased > 0) tables.scrub?.()
        return erased
      } catch (cause) {
        if (cause instanceof AppError) throw cause
        throw new AppError('outcome_unknown', 'Cannot tell whether the log erased this: its commit failed; ask again', {
          cause,
        })
      }
    },

    async sweep() {
      alarm.forget()
      await Promise.all([sweeper.sweep(), runs.sweep()])
    },

    async follow(deliver: Deliver, erased: Erased = () => {}) {
      return followers.add(deliver, erased, deliveredTo)
    },

    async check() {
      if (closing) throw closed()
      tables.verify?.()
      if (!transactions.isUncertain && performance.now() - transactions.committedAt < CHECK_MS) return
      try {
        await commits.between(() => transactions.run(() => {}))
      } catch (cause) {
        if (cause instanceof AppError) throw cause
        throw new AppError('log_unusable', 'Cannot write to the log now', { cause })
      }
    },

    close() {
      closing ??= (async () => {
        sweeper.close()
        runs.close()
        await commits.idle()
        followers.clear()
        tables.close()
      })()
      return closing
    },
  }

  function stateOf({ topic, count, trimmed, closed }: TopicRow & { topic: string }): TopicState {
    const { outcome, detail } = (closed > 0 && tables.run(topic)) || {}
    const ended = outcome !== undefined && { outcome: { outcome, ...(detail !== undefined && { detail }) } }
    return { topic, last: Math.max(tables.newest(topic) ?? 0, trimmed, closed), count, closed, ...ended }
  }

  /** @throws AppError `log_unusable` */
  function assertOpen(): void {
    if (closing) throw closed()
  }

  /** Resolves when everything in the tables is durable. @throws AppError `log_unusable` */
  async function settled(): Promise<void> {
    await opening
    await recovered()
    while (transactions.flushing) await transactions.flushing
    if (closing) throw closed()
  }

  /** Resolves when followers have got what a failed commit left in the tables, so that no read returns these entries before. */
  async function recovered(): Promise<void> {
    if (!transactions.isUncertain) return
    await commits
      .between(async () => {
        if (transactions.isUncertain) await transactions.recover()
      })
      .catch(() => {}) // The state stays unknown, but the tables can be read.
  }

  function commit(group: readonly Batch[]): void | Promise<void> {
    let entries: readonly Entry[] = []
    let outcomes: (readonly Receipt[] | AppError)[] = []
    let isMore = false
    const accept = () => {
      for (const [i, batch] of group.entries()) {
        const outcome = outcomes[i]!
        if (outcome instanceof AppError) batch.refuse(outcome)
        else batch.accept(outcome)
      }
      deliver(entries)
      if (isMore) void sweeper.sweep()
      sweeper.setAlarm()
    }
    const refuse = (cause: unknown) => {
      const refusal = cause instanceof AppError ? cause : unknown(cause)
      for (const batch of group) batch.refuse(refusal)
    }
    try {
      const changing = transactions.run((draft) => {
        outcomes = group.map((batch) => draft.append(batch))
        entries = draft.appended
        isMore = entries.length > 0 && draft.tidy(2 * entries.length + TRIM_STEP, false)
      })
      if (changing) return changing.then(accept, refuse)
    } catch (cause) {
      refuse(cause)
      return
    }
    accept()
  }

  async function eraseOne(topic: string, seq: number): Promise<number> {
    let isErased = false
    await commits.between(async () => {
      if (transactions.isUncertain) await transactions.recover() // an erasure whose commit failed may be in the tables, and is reported now
      if (tables.topicRows(topic, seq - 1, 1)[0]?.seq !== seq) return // nothing to erase costs no commit
      await erasing({ topic, seq, upTo: seq }, (draft) => {
        isErased = draft.eraseOne(topic, seq)
        draft.saveTopics()
      })
      if (isErased) followers.reportErased(topic, seq, seq)
    })
    return isErased ? 1 : 0
  }

  /** Erases all entries that a topic has now, in steps between which other changes run. */
  async function eraseTopic(topic: string): Promise<number> {
    await settled()
    const { count: kept, closed } = tables.topic(topic) ?? emptyTopic
    if (kept === 0 && closed === 0 && !tables.run(topic)) return 0 // nothing to erase costs no commit
    const upTo = transactions.state.head
    const erasure = { topic, seq: undefined, upTo }
    let count = 0
    for (let isMore = true; isMore; )
      await commits.between(async () => {
        let step = { erased: 0, isMore: false }
        await erasing(erasure, (draft) => {
          step = draft.eraseTopic(topic, upTo, SWEEP_STEP)
          draft.saveTopics()
        })
        count += step.erased
        isMore = step.isMore
        if (!isMore) followers.reportErased(topic, undefined, upTo)
      })
    return count
  }

  /** Runs a change that erases. If its commit fails, followers are told of the erasure once the tables have been read again. */
  async function erasing(erasure: Erasure, apply: (draft: Draft) => void): Promise<void> {
    try {
      await transactions.run(apply)
    } catch (cause) {
      if (!(cause instanceof AppError)) uncertain.push(erasure)
      throw cause
    }
  }

  /** A sweep first recovers, and so delivers what the commit wrote all the same, and ends the runs that it claimed. */
  function failed(): void {
    void sweeper.sweep()
  }

  function committed(draft: Draft): void {
    for (const { topic, seq } of draft.trimmed) gaps.note(topic, seq)
    const { changed, alive } = draft.runs
    if (changed.size > 0 || alive.size > 0) runs.committed(draft.runs)
  }

  /** After a failed commit only the tables know what it did. New entries that they hold durably are delivered like any others. */
  function deliverRecovered(): void {
    gaps.forgetAll()
    runs.recovered()
    const entries: Entry[] = []
    for (let seq = deliveredTo + 1; seq <= transactions.state.head; seq++) {
      const entry = tables.entry(seq)
      if (entry) entries.push(entry)
    }
    deliver(entries)
    for (const { topic, seq, upTo } of uncertain.splice(0)) {
      // Followers remove the erased entries from memory. If the topic is still closed, `upTo` 0 keeps followers from reopening it.
      const isClosed = (tables.topic(topic)?.closed ?? 0) > 0
      followers.reportErased(topic, seq, isClosed ? 0 : upTo)
    }
  }

  function deliver(entries: readonly Entry[]): void {
    deliveredTo = transactions.state.head
    followers.deliver(entries)
  }
}

function unknown(cause: unknown): AppError {
  return new AppError(
    'outcome_unknown',
    'Cannot tell whether the log took this: its commit failed; publish again with the same key',
    { cause },
  )
}

const never = () => false

const emptyTopic: TopicRow = { count: 0, bytes: 0, trimmed: 0, closed: 0 }

function closed(): AppError {
  return new AppError('log_unusable', 'Cannot use the log: it is closed')
}
