import { AppError, quote } from '../errors.ts'
import { type Filter, isOwn } from '../topic.ts'
import { nextTurn, Turns } from '../turn.ts'
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
  let told = state.head
  /** The seq after which trimming looks for what is over a bound: up to there all is kept, whatever its age. */
  let keptTo = 0
  let failed = false
  let worked = Number.NEGATIVE_INFINITY
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
      const trimmed = isExact ? { to, exact: true } : { to: state.head, exact: false }
      return { ...page, trimmed, closed: [...filter.topics].filter((topic) => closedUnseen(topic, after)) }
    },

    async seek(beginning: Beginning, filter: Filter) {
      await settled()
      if ('last' in beginning) return seekLast(tables, filter, beginning.last, state.head, reads)
      return seekSince(tables, beginning.since, state.head)
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
        throw new AppError('outcome_unknown', 'Cannot tell whether the log erased this: its commit failed; ask again', {
          cause,
        })
      }
    },

    async follow(deliver: Deliver, erased: Erased = () => {}) {
      return followers.add(deliver, erased, told)
    },

    async check() {
      if (closing) throw closed()
      if (!failed && performance.now() - worked < CHECK_MS) return
      try {
        await commits.between(() => change(() => {}))
      } catch (cause) {
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
    while (flushing) await flushing
    if (closing) throw closed()
  }

  /** Changes the tables, all or nothing and durably, and only then what we know of them. Never two at a time. */
  function change(apply: (next: State) => void): void | Promise<void> {
    if (failed) return recover().then(() => change(apply))
    const before = keptTo
    const next = { ...state }
    const succeed = () => {
      state = next
      worked = performance.now()
    }
    const fail = (cause: unknown): never => {
      failed = true
      keptTo = Math.min(keptTo, before) // what was dropped may be there again
      throw cause
    }
    try {
      tables.transaction(() => {
        apply(next)
        next.commits++
        tables.setState(next)
      })
    } catch (cause) {
      fail(cause)
    }
    if (tables.flush) return flushed().then(succeed, fail)
    succeed()
  }

  function commit(group: readonly Batch[]): void | Promise<void> {
    const entries: Entry[] = []
    const outcomes: (readonly Receipt[] | AppError)[] = []
    let isMore = false
    const accept = () => {
      for (const [i, batch] of group.entries()) {
        const outcome = outcomes[i]!
        if (outcome instanceof AppError) batch.refuse(outcome)
        else batch.accept(outcome)
      }
      tell(entries)
      if (isMore) startSweep()
    }
    const refuse = (cause: unknown) => {
      const unknown = new AppError(
        'outcome_unknown',
        'Cannot tell whether the log took this: its commit failed; publish again with the same key',
        { cause },
      )
      for (const batch of group) batch.refuse(unknown)
      startSweep() // which recovers: what was written after all is delivered now, not with the next append
    }
    try {
      const changing = change((next) => {
        const topics = new Touched(tables)
        for (const batch of group) outcomes.push(place(batch, next, topics, entries))
        if (entries.length === 0) return
        isMore = trim(next, topics, 2 * entries.length + TRIM_STEP)
        forgetKeys(next, 2 * entries.length + TRIM_STEP)
        finish(next, topics)
      })
      if (changing) return changing.then(accept, refuse)
    } catch (cause) {
      refuse(cause)
      return
    }
    accept()
  }

  /** Appends a batch, or says why it is refused and changes nothing. */
  function place(batch: Batch, next: State, topics: Touched, entries: Entry[]): readonly Receipt[] | AppError {
    const receipts = plan(batch, next, topics)
    if (receipts instanceof AppError) return receipts
    for (const [i, message] of batch.messages.entries()) {
      const receipt = receipts[i]!
      if (receipt.duplicate) continue
      const { topic, key } = message
      entries.push(insert(message, receipt, next, topics))
      if (key === undefined) continue
      tables.setKey({ topic, key, hash: batch.hashes![i]!, seq: receipt.seq, time: receipt.time })
      next.keys++
    }
    return receipts
  }

  /** Where each message of a batch goes, or why the batch is refused. */
  function plan(batch: Batch, next: State, topics: Touched): readonly Receipt[] | AppError {
    const receipts: Receipt[] = []
    const fresh = new Map<string, { hash: string; receipt: Receipt }>()
    const closes = new Set<string>()
    const time = Math.max(next.time, Date.now())
    let head = next.head
    for (const [i, { topic, key, close }] of batch.messages.entries()) {
      if (key !== undefined) {
        const name = JSON.stringify([topic, key])
        const known = fresh.get(name) ?? knownKey(topic, key, next)
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

  function knownKey(topic: string, key: string, next: State): { hash: string; receipt: Receipt } | undefined {
    const row = tables.key(topic, key)
    if (!row) return
    if (row.time >= Date.now() - options.keyAgeMs)
      return { hash: row.hash, receipt: { seq: row.seq, time: row.time, duplicate: true } }
    tables.removeKey(row)
    next.keys--
  }

  function insert(message: Message, { seq, time }: Receipt, next: State, topics: Touched): Entry {
    const entry: Entry = { ...unkeyed(message), seq, time }
    const bytes = weigh(entry)
    tables.insert(entry, bytes)
    if (isOwn(entry.topic)) keptTo = 0 // what was the state of the hub may be history now
    const topic = topics.get(entry.topic)
    topic.count++
    topic.bytes += bytes
    if (entry.close) topic.closed = seq
    next.head = seq
    next.time = time
    next.count++
    next.bytes += bytes
    return entry
  }

  /** Drops what is over a bound, oldest first, looking at `step` rows of the log and of each touched topic; tells if there is more. */
  function trim(next: State, topics: Touched, step: number): boolean {
    const isOver = (of: { count: number; bytes: number }, count?: number, bytes?: number) =>
      of.count > (count ?? Number.POSITIVE_INFINITY) || of.bytes > (bytes ?? Number.POSITIVE_INFINITY)
    const { topicCount, topicBytes } = retention
    if (topicCount !== undefined || topicBytes !== undefined)
      for (const [name, topic] of topics) {
        if (!isOver(topic, topicCount, topicBytes)) continue
        for (const row of tables.topicRows(name, 0, step)) {
          if (!isOver(topic, topicCount, topicBytes)) break
          if (!isState(row)) drop(row, next, topics)
        }
      }
    if (retention.ageMs === undefined && !isOver(next, retention.count, retention.bytes)) return false
    const oldest = retention.ageMs === undefined ? Number.NEGATIVE_INFINITY : Date.now() - retention.ageMs
    for (let looked = 0; looked < step; looked += TRIM_PAGE) {
      const { rows } = tables.rows(keptTo, TRIM_PAGE)
      for (const row of rows) {
        if (row.time >= oldest && !isOver(next, retention.count, retention.bytes)) return false
        if (!isState(row)) drop(row, next, topics)
        keptTo = row.seq
      }
      if (rows.length < TRIM_PAGE) return false
    }
    return true
  }

  /** Takes an entry out of the log, to be told of as a gap. */
  function drop(row: EntryRow, next: State, topics: Touched): void {
    const topic = topics.get(row.topic)
    remove(row, next, topics)
    topic.trimmed = Math.max(topic.trimmed, row.seq)
    gaps.note(row.topic, row.seq)
  }

  function remove(row: EntryRow, next: State, topics: Touched): void {
    const topic = topics.get(row.topic)
    tables.remove(row)
    topic.count--
    topic.bytes -= row.bytes
    next.count--
    next.bytes -= row.bytes
  }

  /** Erases one entry; of one that closes its topic the close stays. */
  async function eraseOne(name: string, seq: number): Promise<number> {
    let erased = 0
    await commits.between(async () => {
      await change((next) => {
        const [row] = tables.topicRows(name, seq - 1, 1)
        if (row?.seq !== seq) return
        const topics = new Touched(tables)
        const topic = topics.get(name)
        if (topic.closed !== seq) remove(row, next, topics)
        else {
          tables.blank(row)
          topic.bytes += name.length - row.bytes
          next.bytes += name.length - row.bytes
        }
        finish(next, topics)
        erased = 1
      })
      if (erased > 0) followers.tellErased(name, seq, seq)
    })
    return erased
  }

  /** Forgets a topic's history up to now in steps, oldest first, and then that it was closed. */
  async function forget(name: string): Promise<number> {
    const { head } = state
    let erased = 0
    for (let isMore = true; isMore; )
      await commits.between(async () => {
        await change((next) => {
          const topics = new Touched(tables)
          const rows = tables.topicRows(name, 0, SWEEP_STEP).filter(({ seq }) => seq <= head)
          for (const row of rows) drop(row, next, topics)
          erased += rows.length
          isMore = rows.length === SWEEP_STEP
          const topic = topics.get(name)
          if (!isMore && topic.closed <= head) topic.closed = 0
          finish(next, topics)
        })
        if (!isMore) followers.tellErased(name, undefined, head)
      })
    return erased
  }

  /** The newest entry of a `$` topic is what the hub stands at: it stays. */
  function isState(row: EntryRow): boolean {
    return isOwn(row.topic) && tables.newest(row.topic) === row.seq
  }

  function forgetKeys(next: State, step: number): void {
    const oldest = Date.now() - options.keyAgeMs
    if (next.keys === 0) return
    for (const row of tables.oldestKeys(step)) {
      if (row.time >= oldest && next.keys <= options.keyCount) break
      tables.removeKey(row)
      next.keys--
    }
  }

  function finish(next: State, topics: Touched): void {
    next.emptied += topics.save()
    const surplus = next.emptied - options.trimmedCount
    if (surplus <= 0) return
    next.floor = Math.max(next.floor, tables.forgetEmptied(surplus))
    next.emptied -= surplus
  }

  /** Whether a topic was closed after a seq by an entry that is gone. */
  function closedUnseen(topic: string, after: number): boolean {
    const row = tables.topic(topic)
    return row !== undefined && row.closed > after && row.trimmed >= row.closed
  }

  function startSweep(): void {
    commits.between(sweep).catch(() => {
      // Nothing was promised to anybody; the next append, check or sweep tries again, and /ready tells.
    })
  }

  async function sweep(): Promise<void> {
    let isMore = false
    await change((next) => {
      const topics = new Touched(tables)
      isMore = trim(next, topics, SWEEP_STEP)
      forgetKeys(next, SWEEP_STEP)
      finish(next, topics)
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
    await tables.flush?.()
    state = tables.state()
    failed = false
    const late: Entry[] = []
    for (let seq = told + 1; seq <= state.head; seq++) {
      const entry = tables.entry(seq)
      if (entry) late.push(entry)
    }
    tell(late)
  }

  function tell(entries: readonly Entry[]): void {
    told = state.head
    followers.tell(entries)
  }
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
