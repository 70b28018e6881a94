import { AppError } from '../../../src/errors.ts'
import type { Entry, Log, Message, Receipt } from '../../../src/log/log.ts'
import type { Claim, RunState } from '../../../src/log/runs.ts'
import { Filter } from '../../../src/topic.ts'

/** How late the log may close the topic of a run that is over, in ms. */
const LATE_MS = 1000

/** Runs of a topic are known from here on: another log, or a log that cannot be written. */
interface Outage {
  readonly from: number
  to: number
  /** After it each lease lasts anew. */
  readonly isRestart: boolean
}

interface Accepted extends Omit<Claim, 'key'> {
  readonly key: string | undefined
  readonly fence: number
  /** Number of the claim among all of its topic. */
  readonly index: number
  /** The head of the log when the claim was committed, or later. */
  readonly head: number
}

interface Placed {
  readonly entry: Entry
  readonly at: number
  /** Whether the topic was deleted afterwards, so that readers need not get the entry. */
  isErasable: boolean
}

interface Topic {
  readonly name: string
  readonly claims: Accepted[]
  readonly entries: Placed[]
  /** The tokens with which a datum was sent and may have been appended, and the token that has appended it. */
  readonly senders: Map<string, Set<string>>
  /** Time of the last acknowledged sign of life of the present producer, and of the last one that may have been one. */
  lifeAt: number
  maybeAt: number
  /** Signs of life without an answer yet. */
  inFlight: number
  /** The longest lease and grace that may be in force: those of the last claim, or of one whose outcome is unknown. */
  leaseMs: number
  graceMs: number
  /** Whether a claim may have been made since the last accepted one. */
  isUnclear: boolean
  closed: Entry | undefined
  /** Ticks at which a stop was asked, and at which one was known to be kept; of deletions, begun ones and those that are known. */
  stopAsked: boolean
  stopKept: number | undefined
  deletions: number
  /** Whether the topic may be open again after a deletion whose outcome is unknown. */
  mayBeReopened: boolean
  changedHead: number
}

/**
 * What the log must do, told by what is sent to it and what it answers. `watched` is a log whose calls and answers the model hears. Each
 * broken promise is a sentence in `broken`.
 */
export class Model {
  readonly broken: string[] = []
  readonly topics = new Map<string, Topic>()
  readonly outages: Outage[] = []
  /** Calls of the log: how many have begun and how many have ended. */
  readonly calls = { begun: 0, ended: 0 }
  readonly counts = { claims: 0, taken: 0, appended: 0, refused: 0, unknown: 0, duplicates: 0 }
  readonly outcomes = new Map<string, number>()
  latestMs = 0
  #tick = 0
  #head = 0
  /** The seq of each receipt, and the token of the producer that has got it first. */
  readonly #tokens = new Map<number, string>()
  readonly #superseded = new Map<string, number>()

  topic(name: string): Topic {
    const known = this.topics.get(name)
    if (known) return known
    const made: Topic = {
      ...{ name, claims: [], entries: [], senders: new Map(), lifeAt: 0, maybeAt: 0, inFlight: 0, leaseMs: 0 },
      ...{ graceMs: 0, isUnclear: false, closed: undefined, stopAsked: false, stopKept: undefined, deletions: 0 },
      ...{ mayBeReopened: false, changedHead: 0 },
    }
    this.topics.set(name, made)
    return made
  }

  /** A log that works like the given one. Resolves once the model has its entries. */
  async watch(log: Log): Promise<Log> {
    await log.follow(
      (entries) => {
        for (const entry of entries) this.#placed(entry)
      },
      (name) => this.#erased(name),
    )
    log.runs.watch((name) => {
      this.topic(name).changedHead = this.#head
    })
    // What was committed without an answer when the log was killed.
    const { entries } = await log.read(this.#head, { count: 100_000, bytes: 1e9 }, Filter.parse(['**']))
    for (const entry of entries) this.#placed(entry)
    const runs = {
      claim: (topic: string, claim: Claim) => this.#call(() => this.#claim(log, topic, claim)),
      renew: (topic: string, token: string) => this.#call(() => this.#renew(log, topic, token)),
      stop: (topic: string, fence?: number) => this.#call(() => this.#stop(log, topic, fence)),
      get: (topics: readonly string[]) => log.runs.get(topics),
      list: (query: Parameters<Log['runs']['list']>[0]) => log.runs.list(query),
      watch: (changed: (topic: string) => void) => log.runs.watch(changed),
    }
    const changed = {
      runs,
      append: (messages: readonly Message[]) => this.#call(() => this.#append(log, messages)),
      erase: (topic: string, seq?: number) => this.#call(() => this.#erase(log, topic, seq)),
    }
    return new Proxy(log, {
      get: (target, name) => (name in changed ? changed[name as keyof typeof changed] : Reflect.get(target, name)),
    })
  }

  /** Notes a time without a working log. @returns ends it */
  outage(isRestart: boolean): () => void {
    const outage: Outage = { from: performance.now(), to: Number.POSITIVE_INFINITY, isRestart }
    this.outages.push(outage)
    return () => {
      outage.to = performance.now()
    }
  }

  /** Whether a run has not ended yet. */
  get hasOpenRuns(): boolean {
    return [...this.topics.values()].some(({ claims, closed }) => claims.length > 0 && !closed)
  }

  /** Whether the log was away at some time since then. */
  wasAway(since: number): boolean {
    return this.outages.some(({ to }) => to >= since)
  }

  /** Whether the log was away since then, or the topic was deleted at any time. */
  wasDisturbed(name: string, since: number): boolean {
    return this.wasAway(since) || this.topic(name).deletions > 0
  }

  /** Whether the claim with this fence may have been superseded, or its run ended. */
  mayBeLost(name: string, fence: number): boolean {
    const { claims, closed, deletions, isUnclear } = this.topic(name)
    return claims.at(-1)!.fence !== fence || closed !== undefined || deletions > 0 || isUnclear
  }

  /** What a reader must have got that is told how a topic ended at `seq`; entries that were deleted meanwhile may be missing. */
  checkReader(name: string, got: readonly number[], ended: number, who: string): void {
    const { entries } = this.topic(name)
    const all = new Set(got)
    const known = new Set(entries.map(({ entry }) => entry.seq))
    if (all.size !== got.length) this.#break(`${who} got an event of ${name} twice: ${got}`)
    if (got.some((seq, i) => i > 0 && seq <= got[i - 1]!))
      this.#break(`${who} got events of ${name} out of order: ${got}`)
    for (const seq of all) if (!known.has(seq)) this.#break(`${who} got ${seq} of ${name}, which is not in the log`)
    for (const { entry, isErasable } of entries)
      if (entry.seq <= ended && !isErasable && !all.has(entry.seq))
        this.#break(`${who} did not get ${entry.seq} of ${name}`)
    if (!entries.some(({ entry }) => entry.seq === ended && entry.close))
      this.#break(`${who} was told that ${name} ended at ${ended}, which is no end`)
  }

  /** What holds once nobody does anything any more. */
  async checkEnd(log: Log): Promise<void> {
    if (this.calls.begun !== this.calls.ended)
      this.#break(`${this.calls.begun} calls have begun and ${this.calls.ended} ended`)
    const names = [...this.topics.keys()]
    const states = await log.runs.get(names)
    const ends = await log.topics({ names })
    for (const [i, name] of names.entries()) this.#checkTopic(this.topic(name), states[i], ends[i]!.outcome?.outcome)
  }

  #checkTopic(topic: Topic, state: RunState | undefined, closedAs: string | undefined): void {
    const { name, claims, entries, closed } = topic
    if (claims.length > 0 && !closed) this.#break(`R3: the run of ${name} has not ended`)
    const outcome = closed && (closed.outcome ?? 'done')
    if (closed && (state?.outcome !== outcome || closedAs !== outcome))
      this.#break(`R5: ${name} ended as ${outcome}, and the log says ${state?.outcome} and ${closedAs}`)
    const index = new Map(claims.map((claim) => [claim.token, claim.index]))
    const said = new Set<string>()
    let least = 0
    for (const { entry } of entries) {
      const { data, seq } = entry
      if (data !== undefined && said.has(data)) this.#break(`${name} has ${data} twice`)
      if (data !== undefined) said.add(data)
      if (entry.outcome === 'abandoned') continue
      const tokens = this.#tokens.has(seq) ? [this.#tokens.get(seq)!] : [...(topic.senders.get(keyOf(entry)) ?? [])]
      const possible = tokens.map((token) => index.get(token) ?? -1).filter((i) => i >= least)
      const until = claims.find((claim) => claim.head < seq && !possible.some((i) => i >= claim.index))
      if (possible.length === 0 || until)
        this.#break(
          `R2: ${seq} of ${name} is by claim ${tokens.map((token) => index.get(token))}, after claim ${until?.index ?? least}`,
        )
      else least = Math.min(...possible)
    }
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    this.calls.begun++
    try {
      return await call()
    } finally {
      this.calls.ended++
    }
  }

  async #claim(log: Log, name: string, claim: Claim): Promise<RunState> {
    const topic = this.topic(name)
    const before = topic.claims.at(-1)
    const { lifeAt, deletions } = topic
    const wasClear = !topic.isUnclear && topic.closed === undefined
    const begun = this.#tick++
    const stopKept = topic.stopKept
    topic.inFlight++
    try {
      const state = await log.runs.claim(name, claim)
      const now = performance.now()
      this.counts.claims++
      if (topic.mayBeReopened) this.#erased(name)
      if (topic.closed) this.#break(`R3: ${name} was claimed although it is closed`)
      const isFirst = !before || topic.deletions !== deletions || deletions > 0
      const last = topic.claims.at(-1)
      if (last && topic.deletions === 0 && state.fence <= last.fence)
        this.#break(`R1: a claim of ${name} has the fence ${state.fence} after ${last.fence}`)
      const isSame = claim.key !== undefined && claim.key === before?.key
      if (!isFirst && wasClear && before === topic.claims.at(-1) && !isSame && now < lifeAt + before.leaseMs)
        this.#break(`R1: ${name} was claimed ${lifeAt + before.leaseMs - now} ms before the lease ended`)
      this.#checkStop(topic, state, stopKept, begun)
      for (const other of topic.claims)
        if (!this.#superseded.has(other.token)) this.#superseded.set(other.token, this.#tick)
      const index = topic.claims.length
      topic.claims.push({ ...claim, key: claim.key, fence: state.fence, index, head: topic.changedHead })
      const { leaseMs, graceMs } = claim
      Object.assign(topic, { lifeAt: now, maybeAt: now, leaseMs, graceMs, isUnclear: false })
      return state
    } catch (error) {
      const code = this.#refused(error)
      if (code === 'run_taken') this.#checkTaken(topic)
      if (code === 'unknown') {
        topic.isUnclear = true
        topic.maybeAt = performance.now()
        topic.leaseMs = Math.max(topic.leaseMs, claim.leaseMs)
        topic.graceMs = Math.max(topic.graceMs, claim.graceMs)
      }
      throw error
    } finally {
      topic.inFlight--
    }
  }

  /** Another producer must have a lease. */
  #checkTaken(topic: Topic): void {
    this.counts.taken++
    const now = performance.now()
    if (topic.inFlight > 1 || topic.isUnclear || this.wasAway(topic.maybeAt) || topic.deletions > 0) return
    if (now >= topic.maybeAt + topic.leaseMs)
      this.#break(`R1: ${topic.name} cannot be claimed ${now - topic.maybeAt - topic.leaseMs} ms after the lease`)
  }

  async #renew(log: Log, name: string, token: string): Promise<RunState> {
    const topic = this.topic(name)
    const begun = this.#tick++
    const { stopKept } = topic
    topic.inFlight++
    try {
      const state = await log.runs.renew(name, token)
      this.#alive(topic, token, begun)
      this.#checkStop(topic, state, stopKept, begun)
      return state
    } catch (error) {
      this.#refused(error)
      topic.maybeAt = performance.now()
      throw error
    } finally {
      topic.inFlight--
    }
  }

  async #append(log: Log, messages: readonly Message[]): Promise<readonly Receipt[]> {
    const begun = this.#tick++
    const topics = [...new Set(messages.map(({ topic }) => this.topic(topic)))]
    for (const topic of topics) topic.inFlight++
    for (const message of messages) {
      const { senders } = this.topic(message.topic)
      const key = keyOf(message)
      const tokens = senders.get(key) ?? new Set()
      if (message.run !== undefined && message.outcome !== 'abandoned') senders.set(key, tokens.add(message.run))
    }
    try {
      const receipts = await log.append(messages)
      for (const [i, { topic: name, run }] of messages.entries()) {
        const topic = this.topic(name)
        const { seq, duplicate } = receipts[i]!
        if (duplicate) this.counts.duplicates++
        else this.counts.appended++
        if (duplicate) this.#checkKnown(topic, seq, messages[i]!)
        else if (run !== undefined) this.#tokens.set(seq, run)
        if (!duplicate || topic.claims.at(-1)?.token === run) this.#alive(topic, run!, begun)
      }
      return receipts
    } catch (error) {
      if (this.#refused(error) === 'unknown') for (const topic of topics) topic.maybeAt = performance.now()
      throw error
    } finally {
      for (const topic of topics) topic.inFlight--
    }
  }

  #checkKnown({ name, entries }: Topic, seq: number, { data }: Message): void {
    const placed = entries.find(({ entry }) => entry.seq === seq)
    if (placed?.entry.data !== data)
      this.#break(`${name} says that ${data} is known as ${seq}, which is ${placed?.entry.data}`)
  }

  /** An acknowledged sign of life. */
  #alive(topic: Topic, token: string, begun: number): void {
    if ((this.#superseded.get(token) ?? Number.POSITIVE_INFINITY) < begun)
      this.#break(`R2: ${topic.name} took something of a producer after another had claimed it`)
    if (topic.claims.at(-1)?.token !== token) return
    const now = performance.now()
    topic.lifeAt = now
    topic.maybeAt = Math.max(topic.maybeAt, now)
  }

  async #stop(log: Log, name: string, fence: number | undefined): Promise<RunState | undefined> {
    const topic = this.topic(name)
    topic.stopAsked = true
    const { deletions } = topic
    const state = await log.runs.stop(name, fence)
    const isKept = state === undefined || (state.isStopAsked && state.outcome === undefined)
    if (isKept && topic.deletions === deletions) topic.stopKept = Math.min(topic.stopKept ?? this.#tick, this.#tick++)
    return state
  }

  #checkStop(topic: Topic, state: RunState, stopKept: number | undefined, begun: number): void {
    if (!state.isStopAsked && stopKept !== undefined && stopKept < begun && topic.stopKept === stopKept)
      this.#break(`R4: the producer of ${topic.name} was not told of a stop`)
    if (state.isStopAsked && !topic.stopAsked) this.#break(`R4: nobody has asked to stop ${topic.name}`)
  }

  async #erase(log: Log, name: string, seq: number | undefined): Promise<number> {
    const topic = this.topic(name)
    topic.deletions++
    topic.stopKept = undefined
    const { closed } = topic
    try {
      const erased = await log.erase(name, seq)
      if (topic.closed === closed) this.#erased(name)
      return erased
    } catch (error) {
      if (this.#refused(error) === 'unknown') topic.mayBeReopened = true
      throw error
    } finally {
      topic.stopKept = undefined
      for (const placed of topic.entries) placed.isErasable = true
    }
  }

  #erased(name: string): void {
    const topic = this.topic(name)
    for (const placed of topic.entries) placed.isErasable = true
    topic.closed = undefined
    topic.mayBeReopened = false
    topic.stopKept = undefined
  }

  #placed(entry: Entry): void {
    if (entry.seq <= this.#head) return
    if (entry.seq !== this.#head + 1) this.#break(`${entry.seq} follows ${this.#head}`)
    this.#head = entry.seq
    const topic = this.topic(entry.topic)
    if (topic.closed) this.#break(`${entry.topic} has ${entry.seq} after its end, ${topic.closed.seq}`)
    const at = performance.now()
    topic.entries.push({ entry, at, isErasable: false })
    if (!entry.close) return
    topic.closed = entry
    topic.stopKept = undefined
    const outcome = entry.outcome ?? 'done'
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
    if (outcome === 'abandoned') this.#checkAbandoned(topic, at)
  }

  /** R3: not before the lease and the grace after the last sign of life, and within a second after; an outage adds at most its leases. */
  #checkAbandoned({ name, lifeAt, maybeAt, leaseMs, graceMs, isUnclear, claims }: Topic, at: number): void {
    const present = claims.at(-1)
    if (present && !isUnclear && at < lifeAt + present.leaseMs + present.graceMs)
      this.#break(`R3: ${name} was abandoned ${lifeAt + present.leaseMs + present.graceMs - at} ms early`)
    const due = maybeAt + leaseMs + graceMs
    let by = due + LATE_MS
    let isAway = false
    for (const { from, to, isRestart } of this.outages)
      if (from <= by && to >= maybeAt) {
        by = Math.max(by, Math.min(to, at) + (isRestart ? leaseMs + graceMs : 0) + LATE_MS)
        isAway = true
      }
    if (at > by) this.#break(`R3: ${name} was abandoned ${at - by} ms late`)
    if (!isAway) this.latestMs = Math.max(this.latestMs, at - due)
  }

  /** @returns `unknown` if the call may have changed something */
  #refused(error: unknown): string {
    const code = error instanceof AppError ? error.code : 'unknown'
    if (code === 'outcome_unknown' || code === 'unknown') {
      this.counts.unknown++
      return 'unknown'
    }
    this.counts.refused++
    return code
  }

  #break(sentence: string): void {
    this.broken.push(sentence)
  }
}

/** The same for a message and its entry: what the harness sends has either data of its own, or ends a run. */
function keyOf({ data, outcome }: Pick<Message, 'data' | 'outcome'>): string {
  return JSON.stringify([data ?? null, outcome ?? null])
}
