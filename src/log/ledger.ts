import { AppError, quote } from '../errors.ts'
import { type Filter, isOwn } from '../topic.ts'
import { nextTurn, Turns } from '../turn.ts'
import { effectiveTime, timeAfter } from './clock.ts'
import { Followers } from './followers.ts'
import { Gaps } from './gaps.ts'
import { type Batch, GroupCommit } from './group.ts'
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
import { unkeyed, weigh } from './log.ts'
import { merge, scan } from './scan.ts'
import { seekLast, seekSince } from './seek.ts'
import type { EntryRow, State, Tables, TopicRow } from './tables.ts'
import { Touched } from './touched.ts'

/** Rows looked at beyond what was appended when a commit trims: a lowered limit costs many small steps, not one long one. */
const TRIM_STEP = 64
/** Rows that trimming takes at once: a log at its bound drops about as many as it is given, which mostly are few. */
const TRIM_PAGE = 16
/** Rows of one step of a sweep. */
const SWEEP_STEP = 1000
/** How often entries past their age are looked for. */
const SWEEP_MS = 60_000
/** A commit that worked answers for the log for so long: a check costs an fsync, and anybody may ask for it. */
const CHECK_MS = 1000
/** How long a change waits for another process to unlock the storage, and how often it tries. */
const LOCKED_MS = 5000
const LOCKED_RETRY_MS = 20
/** A lock that nobody has met for so long is another one when it is met again. */
const LOCK_FORGOTTEN_MS = 1000

/** What a change is about to make of the log. What is known in memory becomes this with the commit, and not before. */
interface Draft extends State {
  /** See `trimFrom` of the ledger. */
  trimFrom: number
  /** Entries that retention takes out. */
  readonly trimmed: EntryRow[]
}

interface LedgerOptions extends LogOptions {
  readonly durability: Durability
}

/** The log of one process over tables of its own: everything a `Log` promises but the storage. */
export function ledger(tables: Tables, options: LedgerOptions): Log {
  const { retention } = options
  const followers = new Followers()
  const commits = new GroupCommit(commit)
  /** A page, or a search for one, costs what it looks at, whatever it returns: one a turn, so that others run. */
  const reads = new Turns()
  const gaps = new Gaps(tables, reads)
  /** What is durable. While a commit is being flushed the tables are ahead of it. */
  let state = tables.state()
  let flushing: Promise<void> | undefined
  let deliveredTo = state.head
  /** The seq after which trimming looks for what is over a bound: up to there all is kept, whatever its age. */
  let trimFrom = 0
  let failed = false
  /** When another process was found to have locked the storage, and when that was seen last. */
  const lock = { since: 0, seenAt: Number.NEGATIVE_INFINITY }
  /** What was being erased when a commit failed: it may be gone all the same. */
  const uncertain: { readonly topic: string; readonly seq: number | undefined; readonly upTo: number }[] = []
  let lastCommitAt = Number.NEGATIVE_INFINITY
  let closing: Promise<void> | undefined
  const sweeps =
    retention.ageMs === undefined ? undefined : setInterval(startSweep, Math.min(retention.ageMs, SWEEP_MS))
  letExit(sweeps)

  return {
    epoch: state.epoch,
    durability: options.durability,
    get warnings() {
      return tables.warnings?.() ?? []
    },

    append(messages: readonly Message[]): Promise<readonly Receipt[]> {
      if (closing) return Promise.reject(closed())
      return messages.length === 0 ? Promise.resolve([]) : commits.append(messages)
    },

    async read(after: number, limit: ReadLimit, filter: Filter, isGone = never): Promise<Page> {
      await reads.next()
      if (failed) await known()
      while (flushing || !gaps.knows(filter, after)) {
        if (isGone()) return { entries: [], scannedTo: after }
        await (flushing ?? gaps.learn(filter, after, isGone))
      }
      if (closing) throw closed()
      const read = filter.patterns.length > 0 ? scan : merge
      const page = read(tables, after, limit, filter, state.head)
      const to = gaps.last(filter)
      // Below the floor some record is gone, and with it what the gap's bounds were.
      const isExact = after >= state.floor
      if (isExact && to <= after) return page
      return { ...page, trimmed: isExact ? { to, exact: true } : { to: state.head, exact: false } }
    },

    async seek(beginning: Beginning, filter: Filter) {
      await settled()
      if ('last' in beginning) return seekLast(tables, filter, beginning.last, state.head, reads)
      return seekSince(tables, beginning.since, state.head, state.steps)
    },

    async topics(query: TopicQuery) {
      const stateOf = ({ topic, count, trimmed, closed }: TopicRow & { topic: string }): TopicState => ({
        topic,
        last: Math.max(tables.newest(topic) ?? 0, trimmed, closed),
        count,
        closed,
      })
      if ('prefix' in query) {
        await nextTurn() // a listing of very many is many pages, between which others run
        await settled()
        return tables.topics(query.prefix, query.after, query.limit).map(stateOf)
      }
      await settled()
      return Array.from(query.names, (topic) => stateOf({ topic, ...(tables.topic(topic) ?? emptyTopic) }))
    },

    async erase(topic: string, seq?: number) {
      if (closing) throw closed()
      try {
        const erased = seq === undefined ? await forget(topic) : await eraseOne(topic, seq)
        if (erased > 0) tables.scrub?.()
        return erased
      } catch (cause) {
        if (cause instanceof AppError) throw cause
        throw new AppError('outcome_unknown', 'Cannot tell whether the log erased this: its commit failed; ask again', {
          cause,
        })
      }
    },

    async follow(deliver: Deliver, erased: Erased = () => {}) {
      return followers.add(deliver, erased, deliveredTo)
    },

    async check() {
      if (closing) throw closed()
      tables.verify?.()
      if (!failed && performance.now() - lastCommitAt < CHECK_MS) return
      try {
        await commits.between(() => change(() => {}))
      } catch (cause) {
        if (cause instanceof AppError) throw cause
        throw new AppError('log_unusable', 'Cannot write to the log now', { cause })
      }
    },

    close() {
      closing ??= (async () => {
        clearInterval(sweeps)
        await commits.idle()
        followers.clear()
        tables.close()
      })()
      return closing
    },
  }

  /** Resolves when the tables hold nothing that is not durable. @throws AppError `log_unusable` */
  async function settled(): Promise<void> {
    if (failed) await known()
    while (flushing) await flushing
    if (closing) throw closed()
  }

  /** Resolves when it is known again what a failed commit has done, so that nobody reads of it before followers hear of it. */
  async function known(): Promise<void> {
    await commits
      .between(async () => {
        if (failed) await recover()
      })
      .catch(() => {}) // It stays unknown, but what is there can be read.
  }

  /**
   * Changes the tables, all or nothing and durably, and only then what we know of them. Never two at a time.
   *
   * @throws AppError `log_unavailable`, `log_unusable`: nothing was changed. Any other error: it may have been
   */
  function change(apply: (draft: Draft) => void): void | Promise<void> {
    if (failed) return recover().then(() => change(apply))
    try {
      return attempt(apply)
    } catch (cause) {
      if (!isLocked(cause)) throw cause
      return patiently(apply, cause)
    }
  }

  /**
   * Tries again until somebody else has unlocked the storage, in turns between which others run. All who wait have one deadline: the
   * next in the queue does not wait anew.
   */
  async function patiently(apply: (draft: Draft) => void, refusal: unknown): Promise<void> {
    const now = performance.now()
    if (now - lock.seenAt > LOCK_FORGOTTEN_MS) lock.since = now
    for (lock.seenAt = now; lock.seenAt - lock.since < LOCKED_MS; lock.seenAt = performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, LOCKED_RETRY_MS))
      try {
        return await attempt(apply)
      } catch (cause) {
        if (!isLocked(cause)) throw cause
      }
    }
    throw refusal
  }

  /** See `change`. */
  function attempt(apply: (draft: Draft) => void): void | Promise<void> {
    const draft: Draft = { ...state, trimFrom, trimmed: [] }
    const succeed = () => {
      tables.verify?.()
      tables.acknowledge?.(draft.head)
      const { trimFrom: from, trimmed, ...next } = draft
      state = next
      trimFrom = from
      for (const { topic, seq } of trimmed) gaps.note(topic, seq)
      lastCommitAt = performance.now()
    }
    const fail = (cause: unknown): never => {
      failed = true
      throw new Error('The commit failed', { cause })
    }
    try {
      tables.transaction(() => {
        apply(draft)
        draft.commits++
        tables.setState(draft)
      })
    } catch (cause) {
      if (cause instanceof AppError) throw cause
      fail(cause)
    }
    if (tables.flush) return flushed().then(succeed).catch(fail)
    try {
      succeed()
    } catch (cause) {
      fail(cause)
    }
  }

  function commit(group: readonly Batch[]): void | Promise<void> {
    let entries: Entry[] = []
    let outcomes: (readonly Receipt[] | AppError)[] = []
    let isMore = false
    const accept = () => {
      for (const [i, batch] of group.entries()) {
        const outcome = outcomes[i]!
        if (outcome instanceof AppError) batch.refuse(outcome)
        else batch.accept(outcome)
      }
      deliver(entries)
      if (isMore) startSweep()
    }
    const refuse = (cause: unknown) => {
      const refusal = cause instanceof AppError ? cause : unknown(cause)
      for (const batch of group) batch.refuse(refusal)
      if (failed) startSweep() // which recovers: what was written after all is delivered now, not with the next append
    }
    try {
      const changing = change((draft) => {
        entries = []
        outcomes = []
        const topics = new Touched(tables)
        for (const batch of group) outcomes.push(place(batch, draft, topics, entries))
        if (entries.length === 0) return
        isMore = trim(draft, topics, 2 * entries.length + TRIM_STEP)
        forgetKeys(draft, 2 * entries.length + TRIM_STEP)
        finish(draft, topics)
      })
      if (changing) return changing.then(accept, refuse)
    } catch (cause) {
      refuse(cause)
      return
    }
    accept()
  }

  /** Appends a batch, or says why it is refused and changes nothing. */
  function place(batch: Batch, draft: Draft, topics: Touched, entries: Entry[]): readonly Receipt[] | AppError {
    const receipts = plan(batch, draft, topics)
    if (receipts instanceof AppError) return receipts
    for (const [i, message] of batch.messages.entries()) {
      const receipt = receipts[i]!
      if (receipt.duplicate) continue
      const { topic, key } = message
      entries.push(insert(message, receipt, draft, topics))
      if (key === undefined) continue
      tables.setKey({ topic, key, hash: batch.hashes![i]!, seq: receipt.seq, time: receipt.time })
      draft.keys++
    }
    return receipts
  }

  /** Where each message of a batch goes, or why the batch is refused. */
  function plan(batch: Batch, draft: Draft, topics: Touched): readonly Receipt[] | AppError {
    const receipts: Receipt[] = []
    const fresh = new Map<string, { hash: string; receipt: Receipt }>()
    const closes = new Set<string>()
    const { time } = timeAfter(draft, Date.now(), draft.head + 1)
    let head = draft.head
    for (const [i, { topic, key, close }] of batch.messages.entries()) {
      if (key !== undefined) {
        const name = JSON.stringify([topic, key])
        const known = fresh.get(name) ?? knownKey(topic, key, draft)
        if (known && known.hash !== batch.hashes![i])
          return new AppError(
            'key_conflict',
            `Cannot publish with key ${quote(key)}: the topic has another message with this key`,
          )
        if (known) {
          receipts.push({ ...known.receipt, duplicate: true })
          continue
        }
        fresh.set(name, { hash: batch.hashes![i]!, receipt: { seq: head + 1, time, duplicate: false } })
      }
      if (closes.has(topic) || topics.get(topic).closed > 0)
        return new AppError('topic_closed', `Cannot publish to ${quote(topic)}: the topic is closed`)
      if (close) closes.add(topic)
      receipts.push({ seq: ++head, time, duplicate: false })
    }
    return receipts
  }

  function knownKey(topic: string, key: string, draft: Draft): { hash: string; receipt: Receipt } | undefined {
    const row = tables.key(topic, key)
    if (!row) return
    if (effectiveTime(row, draft.steps) >= Date.now() - options.keyAgeMs)
      return { hash: row.hash, receipt: { seq: row.seq, time: row.time, duplicate: true } }
    tables.removeKey(row)
    draft.keys--
  }

  function insert(message: Message, { seq, time }: Receipt, draft: Draft, topics: Touched): Entry {
    const entry: Entry = { ...unkeyed(message), seq, time }
    const bytes = weigh(entry)
    tables.insert(entry, bytes)
    if (isOwn(entry.topic)) draft.trimFrom = 0 // what was the state of the hub may be history now
    const topic = topics.get(entry.topic)
    topic.count++
    topic.bytes += bytes
    if (entry.close) topic.closed = seq
    Object.assign(draft, timeAfter(draft, time, seq))
    draft.head = seq
    draft.count++
    draft.bytes += bytes
    return entry
  }

  /** Drops what is over a bound, oldest first, looking at `step` rows of the log and of each touched topic; tells if there is more. */
  function trim(draft: Draft, topics: Touched, step: number): boolean {
    const isOver = (of: { count: number; bytes: number }, count?: number, bytes?: number) =>
      of.count > (count ?? Number.POSITIVE_INFINITY) || of.bytes > (bytes ?? Number.POSITIVE_INFINITY)
    const { topicCount, topicBytes } = retention
    if (topicCount !== undefined || topicBytes !== undefined)
      for (const [name, topic] of topics) {
        if (!isOver(topic, topicCount, topicBytes)) continue
        for (const row of tables.topicRows(name, 0, step)) {
          if (!isOver(topic, topicCount, topicBytes)) break
          if (!isState(row)) drop(row, draft, topics)
        }
      }
    if (retention.ageMs === undefined && !isOver(draft, retention.count, retention.bytes)) return false
    const oldest = retention.ageMs === undefined ? Number.NEGATIVE_INFINITY : Date.now() - retention.ageMs
    for (let looked = 0; looked < step; looked += TRIM_PAGE) {
      const { rows } = tables.rows(draft.trimFrom, TRIM_PAGE)
      for (const row of rows) {
        if (effectiveTime(row, draft.steps) >= oldest && !isOver(draft, retention.count, retention.bytes)) return false
        if (!isState(row)) drop(row, draft, topics)
        draft.trimFrom = row.seq
      }
      if (rows.length < TRIM_PAGE) return false
    }
    return true
  }

  /** Takes an entry out of the log, to be told of as a gap. */
  function drop(row: EntryRow, draft: Draft, topics: Touched): void {
    const topic = topics.get(row.topic)
    remove(row, draft, topics)
    topic.trimmed = Math.max(topic.trimmed, row.seq)
    draft.trimmed.push(row)
  }

  function remove(row: EntryRow, draft: Draft, topics: Touched): void {
    const topic = topics.get(row.topic)
    tables.remove(row)
    topic.count--
    topic.bytes -= row.bytes
    draft.count--
    draft.bytes -= row.bytes
  }

  /** Erases one entry; of one that closes its topic the close stays. */
  async function eraseOne(name: string, seq: number): Promise<number> {
    let erased = 0
    await commits.between(async () => {
      await changeErasing(name, seq, seq, (draft) => {
        const [row] = tables.topicRows(name, seq - 1, 1)
        if (row?.seq !== seq) return
        const topics = new Touched(tables)
        const topic = topics.get(name)
        if (topic.closed !== seq) remove(row, draft, topics)
        else {
          tables.blank(row)
          topic.bytes += name.length - row.bytes
          draft.bytes += name.length - row.bytes
        }
        finish(draft, topics)
        erased = 1
      })
      if (erased > 0) followers.tellErased(name, seq, seq)
    })
    return erased
  }

  /** A change that erases: of one that fails, followers are told when it is known again what the tables hold. */
  async function changeErasing(
    topic: string,
    seq: number | undefined,
    upTo: number,
    apply: (draft: Draft) => void,
  ): Promise<void> {
    try {
      await change(apply)
    } catch (cause) {
      if (!(cause instanceof AppError)) uncertain.push({ topic, seq, upTo })
      throw cause
    }
  }

  /** Forgets a topic's history up to now in steps, oldest first, and then that it was closed. */
  async function forget(name: string): Promise<number> {
    const { head } = state
    let erased = 0
    for (let isMore = true; isMore; )
      await commits.between(async () => {
        await changeErasing(name, undefined, head, (draft) => {
          const topics = new Touched(tables)
          const rows = tables.topicRows(name, 0, SWEEP_STEP).filter(({ seq }) => seq <= head)
          for (const row of rows) drop(row, draft, topics)
          erased += rows.length
          isMore = rows.length === SWEEP_STEP
          const topic = topics.get(name)
          if (!isMore && topic.closed <= head) topic.closed = 0
          finish(draft, topics)
        })
        if (!isMore) followers.tellErased(name, undefined, head)
      })
    return erased
  }

  /** The newest entry of a `$` topic is what the hub stands at: it stays. */
  function isState(row: EntryRow): boolean {
    return isOwn(row.topic) && tables.newest(row.topic) === row.seq
  }

  function forgetKeys(draft: Draft, step: number): void {
    const oldest = Date.now() - options.keyAgeMs
    if (draft.keys === 0) return
    for (const row of tables.oldestKeys(step)) {
      if (effectiveTime(row, draft.steps) >= oldest && draft.keys <= options.keyCount) break
      tables.removeKey(row)
      draft.keys--
    }
  }

  function finish(draft: Draft, topics: Touched): void {
    draft.emptied += topics.save()
    const surplus = draft.emptied - options.trimmedCount
    if (surplus <= 0) return
    draft.floor = Math.max(draft.floor, tables.forgetEmptied(surplus))
    draft.emptied -= surplus
  }

  function startSweep(): void {
    commits.between(sweep).catch(() => {
      // Nothing was promised to anybody; the next append, check or sweep tries again, and /ready tells.
    })
  }

  async function sweep(): Promise<void> {
    let isMore = false
    await change((draft) => {
      const topics = new Touched(tables)
      isMore = trim(draft, topics, SWEEP_STEP)
      forgetKeys(draft, SWEEP_STEP)
      finish(draft, topics)
    })
    if (isMore && !closing) startSweep()
  }

  /** Whoever reads meanwhile waits for this, and then finds the new state. */
  async function flushed(): Promise<void> {
    const flush = tables.flush!()
    flushing = flush.then(
      () => nextTurn(),
      () => nextTurn(),
    )
    flushing.then(() => {
      flushing = undefined
    })
    await flush
  }

  /** After a failed commit only the tables know what became of it. What they do hold, durably, is delivered like anything else. */
  async function recover(): Promise<void> {
    tables.verify?.()
    await tables.flush?.()
    const found = tables.state()
    tables.acknowledge?.(found.head)
    state = found
    trimFrom = 0
    gaps.forgetAll()
    failed = false
    const late: Entry[] = []
    for (let seq = deliveredTo + 1; seq <= state.head; seq++) {
      const entry = tables.entry(seq)
      if (entry) late.push(entry)
    }
    deliver(late)
    for (const { topic, seq, upTo } of uncertain.splice(0)) {
      const isClosed = (tables.topic(topic)?.closed ?? 0) > 0
      followers.tellErased(topic, seq, isClosed ? 0 : upTo) // nobody gets it from memory; a close that is still there stays
    }
  }

  function deliver(entries: readonly Entry[]): void {
    deliveredTo = state.head
    followers.tell(entries)
  }
}

function isLocked(cause: unknown): boolean {
  return cause instanceof AppError && cause.code === 'log_unavailable'
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

/** Lets a process end although the timer is set, where the runtime knows of that. */
function letExit(timer: unknown): void {
  ;(timer as { unref?: () => void } | undefined)?.unref?.()
}
