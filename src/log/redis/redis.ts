import { AppError, quote } from '../../errors.ts'
import { type Filter, isOwn } from '../../topic.ts'
import { nextTurn } from '../../turn.ts'
import { Followers } from '../followers.ts'
import { type Batch, GroupCommit } from '../group.ts'
import type {
  Beginning,
  Deliver,
  Entry,
  Erased,
  Log,
  LogOptions,
  Message,
  Page,
  ReadLimit,
  Receipt,
  Restarted,
  TopicQuery,
  TopicState,
} from '../log.ts'
import { defaultLogOptions, newEpoch, unkeyed, weigh } from '../log.ts'
import { Warnings } from '../warnings.ts'
import { inspect, type Server } from './durability.ts'
import { away, Engine, isReply, pause, RETRY_MS, type Redis, refusesForNow, says } from './engine.ts'
import { commit } from './lua/commit.ts'
import { eraseEntry, forgetTopic } from './lua/erase.ts'
import { open } from './lua/open.ts'
import { probe } from './lua/probe.ts'
import { read } from './lua/read.ts'
import { before, since } from './lua/seek.ts'
import { topics } from './lua/topics.ts'
import { RedisPeers } from './peers.ts'
import { entryOf, type Row, streamed, streamedPairs, withLosses } from './rows.ts'
import { scanned } from './scan.ts'

/** Rows looked at beyond what was appended when a commit trims, and of one step of a sweep. */
const TRIM_STEP = 64
const SWEEP_STEP = 1000
const SWEEP_MS = 60_000
/** Most messages, and bytes of them, that one commit takes to the server: while it runs there, nobody else is served. */
const MAX_GROUP = 1000
const MAX_GROUP_BYTES = 1024 ** 2
/** How long the tail waits before it looks whether the log is still there; an emptied one wakes nobody. */
const TAIL_MS = 1000
const TAIL_COUNT = 256
/** Between looks whether it is known what to follow. */
const LOOKING_MS = 20
const CHECK_MS = 1000
/** Most entries that wait for others before them: what we do not remember the tail brings again. */
const MAX_AHEAD = 10_000
/** How often we say that we are here, and look how the server keeps what it is given: that can be changed while it runs. */
const BEAT_MS = 5000
/** So long an append that is durable waits for what others had appended before it to be delivered here. */
const CATCH_UP_MS = 1000

/** What the keys of a hub begin with: in a cluster the name in braces keeps them together. */
export function baseOf(name: string): string {
  return `tidings:{${name}}`
}

interface RedisLogOptions extends LogOptions {
  /** Of the hub: logs of other names are others. */
  readonly name: string
}

/**
 * A log that many processes share: in a Redis (7 or newer) or Valkey, as one stream and what finds things in it. Any process takes
 * appends and reads, each has one blocking reader, and none holds what another would miss.
 *
 * @throws AppError `log_unavailable`, `log_unusable` (a log of a newer version)
 */
export async function redisLog(redis: Redis, options: Partial<LogOptions> & { readonly name: string }): Promise<Log> {
  const all = { ...defaultLogOptions, ...options }
  const log = new SharedLog(redis, all)
  await log.open()
  return log
}

class SharedLog implements Log {
  readonly #options: RedisLogOptions
  readonly #engine: Engine
  readonly #base: string
  readonly peers: RedisPeers
  readonly #warnings: Warnings
  readonly #followers = new Followers()
  readonly #commits = new GroupCommit((group) => this.#commit(group))
  #server: Server = { run: '', durability: 'memory', isSynced: false, evicts: undefined }
  #epoch = ''
  #tag = 0
  /** The newest seq that was delivered here, and the last erasure that was told of. */
  #told = 0
  #erasedId = '0-0'
  #erasures = 0
  #wireId = '0-0'
  /** What the tail has brought after a hole that our own appends fill, or the other way round: seq by seq. */
  readonly #ahead = new Map<number, Entry>()
  /** The oldest seq that trimming has to look at: those before it are kept, whatever their age. */
  #lookFrom = 0
  /** The topic after which the next probe goes on to look whether topics are whole. */
  #probedTo = ''
  readonly #catching = new Set<() => void>()
  #worked = Number.NEGATIVE_INFINITY
  #closing: Promise<void> | undefined
  #isClosed = false
  #opening: Promise<void> | undefined
  /** Whether it is known that the server has the log that we believe in. */
  #isSure = false
  #tailing: Promise<void> | undefined
  /** What the tail was last refused with. */
  #tailError: unknown
  readonly #timers: ReturnType<typeof setInterval>[] = []

  constructor(redis: Redis, options: RedisLogOptions) {
    this.#options = options
    this.#warnings = new Warnings(options.warn)
    this.#base = baseOf(options.name)
    this.#engine = new Engine(redis, this.#base)
    const run = (script: string, ...values: readonly (string | number)[]) =>
      this.#engine.run(script, ...values).catch(refuse)
    this.peers = new RedisPeers(run, (command) => this.#engine.send(command).catch(refuse), `${this.#base}:wire`)
  }

  get epoch(): string {
    return this.#epoch
  }

  get durability() {
    return this.#server.durability
  }

  get warnings() {
    return this.#warnings.list
  }

  async open(): Promise<void> {
    await this.#look()
    this.#engine.redis.onConnected(() => void this.#lookAgain())
    this.#tailing = this.#tail()
    this.#every(BEAT_MS, () => this.#beat().catch(() => {})) // the next one may come through
    const { ageMs } = this.#options.retention
    if (ageMs !== undefined) this.#every(Math.min(ageMs, SWEEP_MS), () => this.#startSweep())
  }

  append(messages: readonly Message[]): Promise<readonly Receipt[]> {
    if (this.#closing) return Promise.reject(closed())
    if (!this.#engine.redis.isConnected) return Promise.reject(away())
    return messages.length === 0 ? Promise.resolve([]) : this.#commits.append(messages)
  }

  async read(after: number, limit: ReadLimit, filter: Filter, isGone?: () => boolean): Promise<Page> {
    await nextTurn()
    const attempt = () =>
      filter.patterns.length > 0
        ? scanned(this.#ask, after, limit, filter, isGone)
        : this.#readNamed(after, limit, filter.topics)
    return isGone ? this.#patiently(attempt, isGone) : attempt()
  }

  async #readNamed(after: number, limit: ReadLimit, topics: Iterable<string>): Promise<Page> {
    const names = JSON.stringify([...topics])
    const answer = await this.#ask(read, ...[after, limit.count, limit.bytes, limit.latest ? 1 : 0, names])
    const [head, floor, scannedTo, conflated, rows, to] = answer as [...[number, number, number, number, Row[], number]]
    const page = { entries: rows.map(entryOf), scannedTo, ...(conflated > 0 && { conflated }) }
    return withLosses(page, { after, head, floor, to })
  }

  async seek(beginning: Beginning, filter: Filter): Promise<number> {
    if ('since' in beginning) return (await this.#ask(since, beginning.since)) as number
    let left = beginning.last
    const names = JSON.stringify(filter.patterns.length > 0 ? [] : [...filter.topics])
    const size = names === '[]' ? filter.perTurn : Math.min(beginning.last + 1, 1000)
    for (let to = Number.MAX_SAFE_INTEGER; to > 0; ) {
      const answer = await this.#ask(before, to, size, names)
      const [rows, next] = answer as [[number, string, number][], number]
      const matches = filter.remembering()
      for (const [seq, topic, isBare] of rows) if (isBare === 0 && matches(topic) && --left === 0) return seq - 1
      to = next
    }
    return 0
  }

  async topics(query: TopicQuery): Promise<readonly TopicState[]> {
    const found = await ('prefix' in query
      ? this.#ask(topics, '[]', query.prefix, query.after, query.limit)
      : this.#ask(topics, JSON.stringify([...query.names])))
    return (found as [string, number, number, number][]).map(([topic, last, count, closed]) => ({
      topic,
      last,
      count,
      closed,
    }))
  }

  async erase(topic: string, seq?: number): Promise<number> {
    if (this.#closing) throw closed()
    const { epoch } = this
    return seq === undefined ? this.#forget(topic) : this.#between(() => this.#eraseOne(topic, seq, epoch))
  }

  async follow(deliver: Deliver, erased: Erased = () => {}, restarted: Restarted = () => {}): Promise<number> {
    return this.#followers.add(deliver, erased, this.#told, restarted)
  }

  async check(): Promise<void> {
    if (this.#closing) throw closed()
    try {
      if (this.#tailError !== undefined) return refuse(this.#tailError)
      if (performance.now() - this.#worked < CHECK_MS) return
      await this.#probe()
      this.#worked = performance.now()
    } catch (cause) {
      if (cause instanceof AppError && cause.code === 'log_unavailable') throw cause
      throw new AppError('log_unusable', 'Cannot write to the log now', { cause })
    }
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      for (const timer of this.#timers) clearInterval(timer)
      await this.#commits.idle()
      this.#isClosed = true
      this.#followers.clear()
      await this.peers.close()
      await this.#engine.close()
      await this.#tailing
    })()
    return this.#closing
  }

  /** Asks for what changes nothing. @throws AppError `log_unavailable` if it may be had later */
  readonly #ask = async (script: string, ...values: readonly (string | number)[]): Promise<unknown> => {
    try {
      return await this.#run(script, ...values)
    } catch (cause) {
      return refuse(cause)
    }
  }

  async #probe(): Promise<void> {
    this.#probedTo = (await this.#ask(probe, this.#told, this.#probedTo)) as string
  }

  /** Does what may have been done although we hear of an error. @throws AppError `outcome_unknown`, `log_unavailable` if it was not */
  async #change(script: string, ...values: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#run(script, ...values)
    } catch (cause) {
      if (cause instanceof AppError) throw cause
      throw refusesForNow(cause) ? away(cause) : unknown(cause)
    }
  }

  /** Runs a script on the log that we believe in; on another one, learns which it is and says that nothing was done. */
  async #run(script: string, ...values: readonly (string | number)[]): Promise<unknown> {
    if (this.#isClosed) throw closed()
    await this.#opening?.catch(() => {})
    if (!this.#isSure) throw away()
    try {
      return await this.#engine.run(script, this.#epoch, ...values)
    } catch (error) {
      if (!says(error, 'LOST') && !says(error, 'REWOUND')) throw error
      await this.#look()
      throw new AppError(
        'log_unavailable',
        'Cannot use the log: it was replaced or repaired on its server and has a new epoch; try again',
        {
          cause: error,
          retryAfterS: 1,
        },
      )
    }
  }

  /** Tries again while the server is away, for a reader who is there. */
  async #patiently(attempt: () => Promise<Page>, isGone: () => boolean): Promise<Page> {
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        if (this.#closing || !(error instanceof AppError) || error.code !== 'log_unavailable' || isGone()) throw error
        await pause(RETRY_MS)
      }
    }
  }

  /** Whenever the server is there again it may be another one: nothing is asked of it until that is known. */
  async #lookAgain(): Promise<void> {
    this.#isSure = false
    while (!this.#isSure && !this.#isClosed && this.#engine.redis.isConnected)
      await this.#look().catch(() => pause(RETRY_MS))
  }

  /** Learns which log there is. If it is another one, or shorter than it was, everybody who follows is told. */
  #look(): Promise<void> {
    this.#opening ??= this.#lookOnce().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #lookOnce(): Promise<void> {
    await this.#engine.ping().catch((cause) => {
      throw away(cause)
    })
    const known = this.#server.run
    const server = await inspect((command) => this.#engine.send(command))
    const tag = crypto.getRandomValues(new Uint32Array(1))[0]!
    const isDurable = server.isSynced ? 1 : 0
    const answer = await this.#engine
      .run(open, this.#epoch, known, this.#told, newEpoch(), tag, server.run, isDurable, this.#options.newEpoch ?? '')
      .catch((cause) => {
        if (!says(cause, 'VERSION')) throw cause
        throw new AppError('log_unusable', 'Cannot use the log: a newer release wrote it; use a newer release', {
          cause,
        })
      })
    const [epoch, newTag, head, ...marks] = answer as [string, number, number, string, number, string]
    this.#know(server)
    this.#isSure = true
    await this.peers.beat()
    if (epoch === this.#epoch) return
    const isFirst = this.#epoch === ''
    this.#epoch = epoch
    this.#tag = newTag
    ;[this.#erasedId, this.#erasures, this.#wireId] = marks
    this.#told = head
    this.#lookFrom = 0
    this.#ahead.clear()
    for (const look of this.#catching) look()
    if (!isFirst) this.#followers.tellRestarted(head)
  }

  async #commit(group: readonly Batch[]): Promise<void> {
    const { retention, keyAgeMs, keyCount, trimmedCount } = this.#options
    const options = JSON.stringify({ retention, keyAgeMs, keyCount, trimmedCount })
    for (const part of partsOf(group)) {
      try {
        const batches = JSON.stringify(
          part.map(({ messages, hashes }) => messages.map((m, i) => packed(m, hashes?.[i]))),
        )
        await this.#opening // so that this is the epoch that the commit names
        const { epoch } = this
        const answer = await this.#change(commit, ...[options, batches, TRIM_STEP, this.#told, this.#lookFrom])
        const [more, outcomes, lookFrom] = answer as [number, unknown[][], number]
        this.#lookFrom = lookFrom
        this.#worked = performance.now()
        await this.#settle(part, outcomes, epoch)
        if (more > 0) this.#startSweep()
      } catch (error) {
        const refusal = error instanceof AppError ? error : unknown(error)
        for (const batch of part) batch.refuse(refusal)
      }
    }
  }

  /** Delivers what was appended, once what came before it has been, and then says where it is. */
  async #settle(group: readonly Batch[], outcomes: readonly unknown[][], epoch: string): Promise<void> {
    if (epoch !== this.#epoch) throw replaced()
    const entries: Entry[] = []
    const receipts = group.map(({ messages }, b) => {
      const outcome = outcomes[b]!
      if (typeof outcome[0] === 'string') return refusalOf(outcome[0], messages[(outcome[1] as number) - 1]!)
      return (outcome as [number, number, number][]).map(([seq, time, known], i) => {
        if (known === 0) entries.push({ ...unkeyed(messages[i]!), seq, time })
        return { seq, time, duplicate: known === 1 }
      })
    })
    this.#arrive(entries)
    const last = entries.at(-1)?.seq ?? 0
    await this.#until(() => this.#told >= last)
    if (epoch !== this.#epoch) throw replaced()
    for (const [b, batch] of group.entries()) {
      const outcome = receipts[b]!
      if (outcome instanceof AppError) batch.refuse(outcome)
      else batch.accept(outcome)
    }
  }

  /** Delivers what is next, in order and once, whoever brings it. */
  #arrive(entries: readonly Entry[]): void {
    for (const entry of entries)
      if (entry.seq > this.#told && this.#ahead.size < MAX_AHEAD) this.#ahead.set(entry.seq, entry)
    const next: Entry[] = []
    for (let entry = this.#ahead.get(this.#told + 1); entry; entry = this.#ahead.get(entry.seq + 1)) {
      this.#ahead.delete(entry.seq)
      next.push(entry)
      this.#told = entry.seq
    }
    this.#tell(next)
  }

  #tell(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    // What was the state of the hub may be history now.
    if (entries.some(({ topic }) => isOwn(topic))) this.#lookFrom = 0
    this.#followers.tell(entries)
    for (const look of this.#catching) look()
  }

  /** Resolves when the tail has brought something, or soon after it should have: what is durable is not held up by it for long. */
  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return
    const { epoch } = this
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#catching.delete(look)
        resolve()
      }
      const look = () => {
        if (holds() || this.#epoch !== epoch) done()
      }
      const timer = setTimeout(done, CATCH_UP_MS)
      this.#catching.add(look)
    })
  }

  /** Brings what others append and erase, for as long as the log is open. */
  async #tail(): Promise<void> {
    let probedAt = performance.now()
    while (!this.#closing) {
      // What a server says that may be another one is not taken for ours.
      if (!this.#isSure || !this.#engine.redis.isConnected) {
        await pause(LOOKING_MS)
        continue
      }
      try {
        const [epoch, tag] = [this.#epoch, this.#tag]
        const answer = await this.#engine.redis.wait([
          ...['XREAD', 'COUNT', `${TAIL_COUNT}`, 'BLOCK', `${TAIL_MS}`, 'STREAMS'],
          ...[`${this.#base}:log`, `${this.#base}:erased`, `${this.#base}:wire`],
          ...[`${this.#told}-18446744073709551615`, this.#erasedId, this.#wireId],
        ])
        if (epoch !== this.#epoch || this.#closing) continue
        const streams = new Map((answer ?? []) as [string, [string, string[]][]][])
        const rows = streams.get(`${this.#base}:log`) ?? []
        const erased = streams.get(`${this.#base}:erased`) ?? []
        const wire = streams.get(`${this.#base}:wire`) ?? []
        this.#wireId = wire.at(-1)?.[0] ?? this.#wireId
        this.peers.hear(wire)
        if (rows.some(([id]) => Number(id.slice(id.indexOf('-') + 1)) !== tag)) await this.#look()
        else this.#tailed(rows, erased)
        if (performance.now() - probedAt > TAIL_MS / 2) {
          probedAt = performance.now()
          await this.#probe().catch(() => {})
        }
        this.#tailError = undefined
      } catch (error) {
        if (this.#closing) return
        this.#tailError = error
        await pause(RETRY_MS)
      }
    }
  }

  /**
   * Tells what one answer brought. Its rows are what was there when the erasures had been made: those come first, so that what is
   * said in a topic after its history was forgotten is told after that too.
   */
  #tailed(rows: readonly [string, string[]][], erased: readonly [string, string[]][]): void {
    if (erased.length > 0) this.#ahead.clear() // what is still there of it, the tail brings
    for (const [id, fields] of erased) {
      const { n, t, s, u, h } = streamedPairs(fields)
      const isNext = Number(n) === this.#erasures + 1
      this.#erasedId = id
      this.#erasures = Number(n)
      // Nodes of an older version say `h`, the head, for `u`.
      if (isNext) this.#followers.tellErased(t!, s === '' ? undefined : Number(s), Number(u ?? h))
      else this.#followers.tellRestarted(this.#told)
    }
    const entries = rows.map(([id, fields]) => streamed(id, fields)).filter(({ seq }) => seq > this.#told)
    const isWhole = entries.every(({ seq }, i) => seq === this.#told + 1 + i)
    if (isWhole) this.#arrive(entries)
    else {
      // What is missing was trimmed or erased before we saw it: whoever follows sees the hole, and asks.
      this.#told = entries.at(-1)!.seq
      for (const seq of this.#ahead.keys()) if (seq <= this.#told) this.#ahead.delete(seq)
      this.#tell(entries)
      this.#arrive([])
    }
    if (erased.length > 0) for (const look of this.#catching) look()
  }

  /** @param epoch of the log that the seq is of */
  async #eraseOne(topic: string, seq: number, epoch: string): Promise<number> {
    await this.#opening?.catch(() => {})
    if (epoch !== this.#epoch) return 0
    const erasures = (await this.#change(eraseEntry, topic, seq)) as number
    if (erasures === 0) return 0
    await this.#until(() => this.#erasures >= erasures)
    return 1
  }

  /** In steps, between which others commit. */
  async #forget(topic: string): Promise<number> {
    const [state] = await this.topics({ names: [topic] })
    let erased = 0
    for (let isMore = state!.last > 0; isMore; )
      await this.#between(async () => {
        const step = [topic, state!.last, SWEEP_STEP, this.#options.trimmedCount]
        const [count, more, erasures] = (await this.#change(forgetTopic, ...step)) as [number, number, number]
        erased += count
        isMore = more > 0
        if (!isMore) await this.#until(() => this.#erasures >= erasures)
      })
    return erased
  }

  /** What a task gives that runs between two commits. */
  async #between<T>(task: () => Promise<T>): Promise<T> {
    let result: T | undefined
    await this.#commits.between(async () => {
      result = await task()
    })
    return result as T
  }

  async #beat(): Promise<void> {
    await this.peers.beat()
    const server = await inspect((command) => this.#engine.send(command))
    if (server.run === this.#server.run) this.#know(server)
  }

  #know(server: Server): void {
    this.#server = server
    this.#warnings.set(
      'eviction',
      server.evicts && `Redis may evict what it holds: its maxmemory-policy is ${server.evicts}; set it to noeviction`,
    )
  }

  #every(ms: number, act: () => void): void {
    const timer = setInterval(act, ms)
    this.#timers.push(timer)
    ;(timer as { unref?: () => void }).unref?.() // a process may end although it is set
  }

  #startSweep(): void {
    const { retention, keyAgeMs, keyCount, trimmedCount } = this.#options
    const options = JSON.stringify({ retention, keyAgeMs, keyCount, trimmedCount })
    this.#commits
      .between(async () => {
        const answer = await this.#ask(commit, ...[options, '[]', SWEEP_STEP, this.#told, this.#lookFrom])
        const [more, , lookFrom] = answer as [number, unknown, number]
        this.#lookFrom = lookFrom
        if (more > 0 && !this.#closing) this.#startSweep()
      })
      .catch(() => {}) // nothing was promised to anybody; the next append or sweep tries again
  }
}

/** A message as the script takes it. */
function packed(message: Message, hash: string | undefined) {
  const { topic, data, event, retry, key, close } = message
  return {
    ...{ t: topic, w: weigh(message), d: data, e: event },
    ...{ r: retry === undefined ? undefined : `${retry}`, k: key, h: hash, c: close ? '1' : undefined },
  }
}

/** Batches, in parts that are not too long for one script. */
function* partsOf(group: readonly Batch[]): Iterable<readonly Batch[]> {
  let part: Batch[] = []
  let [length, bytes] = [0, 0]
  for (const batch of group) {
    const weight = batch.messages.reduce((sum, message) => sum + weigh(message), 0)
    if (part.length > 0 && (length + batch.messages.length > MAX_GROUP || bytes + weight > MAX_GROUP_BYTES)) {
      yield part
      part = []
      length = bytes = 0
    }
    part.push(batch)
    length += batch.messages.length
    bytes += weight
  }
  yield part
}

/** What whoever asked is told: that it may be had later, or what the server says. */
function refuse(cause: unknown): never {
  throw cause instanceof AppError || (isReply(cause) && !refusesForNow(cause)) ? cause : away(cause)
}

function refusalOf(code: string, { topic, key }: Message): AppError {
  if (code === 'topic_closed')
    return new AppError('topic_closed', `Cannot publish to ${quote(topic)}: the topic is closed`)
  return new AppError(
    'key_conflict',
    `Cannot publish with key ${quote(key!)}: the topic has another message with this key`,
  )
}

function unknown(cause: unknown): AppError {
  return new AppError(
    'outcome_unknown',
    'Cannot tell whether the log took this: its server did not say; publish again with the same key',
    { cause },
  )
}

function replaced(): AppError {
  return unknown(new Error('The log was replaced while it was appended to'))
}

function closed(): AppError {
  return new AppError('log_unusable', 'Cannot use the log: it is closed')
}
