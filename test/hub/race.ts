import fc from 'fast-check'
import { expect } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { Hub } from '../../src/hub/hub.ts'
import { INSIDE } from '../../src/hub/inside.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import type { Entry, Erased, Log } from '../../src/log/log.ts'
import { Filter } from '../../src/topic.ts'
import { Reader } from '../reader.ts'

export interface Act {
  readonly do: 'publish' | 'close' | 'close without data' | 'delete'
  readonly topic: string
  /** Whether another node does it, which shares the log. */
  readonly elsewhere: boolean
}

/** A reader that connects after some turns, and may change its topics after some more. */
export interface Wanted {
  readonly names: string[]
  readonly latest: boolean
  readonly resumeAt: number | undefined
  readonly after: number
  readonly change: { readonly names: string[]; readonly after: number } | undefined
}

const names = fc.subarray(['a', 'b', '*'], { minLength: 1 })

export const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    do: fc.constantFrom(
      ...(['publish', 'publish', 'publish', 'close', 'close without data', 'delete', 'delete'] as const),
    ),
    topic: fc.constantFrom('a', 'b', 'c'),
    elsewhere: fc.boolean(),
  }),
  { minLength: 1, maxLength: 10 },
)

export const readers: fc.Arbitrary<Wanted[]> = fc.array(
  fc.record({
    names,
    latest: fc.boolean(),
    resumeAt: fc.option(fc.nat(6), { nil: undefined }),
    after: fc.nat(10),
    change: fc.option(fc.record({ names, after: fc.nat(6) }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 3 },
)

interface Deleted {
  readonly deleted: string
  readonly upTo: number
}

/** An append or a delete as the log reported it, in its order. */
type Happened = { readonly entry: Entry } | Deleted

/** Publishes, closes and deletes on a hub while readers come, and knows what each of them must receive. */
export class Race {
  readonly #hub: Hub
  readonly #observed: Log
  readonly #history: Happened[] = []
  /** Deletes that have been reported to the hub. */
  readonly #heard: Deleted[] = []
  readonly #visits: Visit[] = []

  /**
   * @param ofHub the log that is given to the hub, before the hub follows it
   * @param observed the log itself, without delays, as another node has it
   */
  static async begin(hub: Hub, ofHub: Log, observed: Log): Promise<Race> {
    const race = new Race(hub, observed)
    const follow = ofHub.follow.bind(ofHub)
    ofHub.follow = (deliver, erased: Erased = () => {}, restarted) =>
      follow(
        deliver,
        (deleted, seq, upTo) => {
          erased(deleted, seq, upTo)
          if (seq === undefined) race.#heard.push({ deleted, upTo })
        },
        restarted,
      )
    await observed.follow(
      (entries) => race.#history.push(...entries.map((entry) => ({ entry }))),
      (deleted, seq, upTo) => seq === undefined && race.#history.push({ deleted, upTo }),
    )
    return race
  }

  private constructor(hub: Hub, observed: Log) {
    this.#hub = hub
    this.#observed = observed
  }

  /** Does one act. An act on a topic that is closed already, or that has nothing to delete, is no failure. */
  async act({ do: what, topic, elsewhere }: Act, data: string): Promise<void> {
    const doing = () => {
      if (what === 'delete') return elsewhere ? this.#observed.erase(topic) : this.#hub.directory.erase(topic)
      const close = what === 'publish' ? {} : { close: true as const }
      const messages = [{ topic, ...(what !== 'close without data' && { data }), ...close }]
      return elsewhere ? this.#observed.append(messages) : this.#hub.publish(messages)
    }
    await doing().catch((error) => {
      if (error instanceof AppError && ['topic_closed', 'nothing_to_delete'].includes(error.code)) return
      throw error
    })
  }

  async visit(wanted: Wanted, pause: () => Promise<unknown>): Promise<void> {
    for (let i = 0; i < wanted.after; i++) await pause()
    const heard = [...this.#heard]
    const position = wanted.resumeAt === undefined ? {} : { lastEventId: `${this.#observed.epoch}-${wanted.resumeAt}` }
    const subscription = await this.#hub.subscribe(Filter.parse(wanted.names), { latest: wanted.latest, ...position })
    const visit = new Visit(wanted, heard, subscription)
    this.#visits.push(visit)
    if (!subscription || !wanted.change) return
    for (let i = 0; i < wanted.change.after; i++) await pause()
    await this.#hub[INSIDE].change(subscription, Filter.parse(wanted.change.names)).then(
      () => {
        visit.hasChanged = true
      },
      (error) => expect(error).toMatchObject({ code: 'stream_unknown' }),
    )
  }

  /** Throws while what a reader has received is incomplete or wrong. Tests poll this method until it does not throw. */
  check(): void {
    for (const visit of this.#visits) {
      const wrong = visit.wrong(this.#history)
      if (wrong !== undefined) expect.fail(`${wrong}\n${this.#told(visit)}`)
    }
  }

  #told({ wanted, heard, stream }: Visit): string {
    const history = this.#history.map((one) =>
      'entry' in one
        ? `${one.entry.seq} ${one.entry.topic}${one.entry.close ? ' closes' : ''}`
        : `${one.deleted} deleted up to ${one.upTo}`,
    )
    return `${JSON.stringify(wanted)}\ndeletes known when it connected: ${JSON.stringify(heard)}\nhistory: ${history.join(', ')}\nreceived:\n${stream?.lines.join('\n')}`
  }
}

/** One reader: what it asked for, when it connected, and what it received. */
class Visit {
  readonly wanted: Wanted
  /** The deletes that had been reported to the hub when the reader connected. */
  readonly heard: readonly Deleted[]
  readonly stream: Reader | undefined
  hasChanged = false

  constructor(wanted: Wanted, heard: readonly Deleted[], subscription: Subscription | undefined) {
    this.wanted = wanted
    this.heard = heard
    this.stream = subscription && new Reader().follow(subscription)
  }

  /** Returns what is wrong with what the reader received. Its topics may have changed at any position: for one all must be right. */
  wrong(history: readonly Happened[]): string | undefined {
    if (!this.stream) return this.#wrongEnd(history)
    if (!this.hasChanged) return this.#wrongUntil(history, Number.POSITIVE_INFINITY)
    const head = history.filter((one) => 'entry' in one).length + 10
    let wrong: string | undefined
    for (let at = 0; at <= head; at++) {
      wrong = this.#wrongUntil(history, at)
      if (wrong === undefined) return
    }
    return wrong
  }

  /** A reader without a stream: each of its topics must have been closed at its position, or before it. */
  #wrongEnd(history: readonly Happened[]): string | undefined {
    const { resumeAt = -1 } = this.wanted
    const isClosed = (topic: string) => this.#closes(history, topic).some((seq) => seq <= resumeAt)
    const open = this.wanted.names.filter((name) => name.includes('*') || !isClosed(name))
    return open.length > 0 ? `It got no stream although ${open} may go on` : undefined
  }

  /** @param changedAt the position at which the reader changed its topics */
  #wrongUntil(history: readonly Happened[], changedAt: number): string | undefined {
    const { latest } = this.wanted
    const { events, ended } = this.stream!
    const before = Filter.parse(this.wanted.names)
    const after = this.hasChanged ? Filter.parse(this.wanted.change!.names) : before
    const concerns = ({ seq, topic }: Entry) => (seq <= changedAt ? before : after).matches(topic)
    const seqOf = (id: string | undefined) => parsePosition(id ?? '')?.seq ?? 0
    if (events.length === 0) return 'It got nothing'

    const gap = events.find(({ event }) => event === 'hub.gap')
    if (this.wanted.resumeAt !== undefined && !gap && seqOf(events[0]!.id) !== this.wanted.resumeAt)
      return 'It was opened elsewhere, without a gap'
    const from = seqOf(events[0]!.id)
    const entries = history.flatMap((one) => ('entry' in one ? [one.entry] : []))
    const owed = entries.filter((entry) => entry.seq > from && entry.data !== undefined && concerns(entry))
    const got = events.filter(({ event }) => !event?.startsWith('hub.')).map(({ id }) => seqOf(id))
    const isGone = ({ topic, seq }: Entry) =>
      history.some((one) => 'deleted' in one && one.deleted === topic && one.upTo >= seq)
    if (got.some((seq, i) => seq <= (got[i - 1] ?? from) || !owed.some((entry) => entry.seq === seq)))
      return `It got ${got} of ${owed.map(({ seq }) => seq)}`
    const end = ended ? seqOf(this.stream!.lastEventId) : Number.POSITIVE_INFINITY
    const isPassed = (entry: Entry) => latest && owed.some(({ topic, seq }) => topic === entry.topic && seq > entry.seq)
    const missing = owed.filter(
      (entry) => !isGone(entry) && !isPassed(entry) && entry.seq <= end && !got.includes(entry.seq),
    )
    if (missing.length > 0) return `It misses ${missing.map(({ seq }) => seq)}`

    const told = (name: string) =>
      events.flatMap(({ event, data, id }) =>
        event === 'hub.closed' && JSON.parse(data).topic === name ? [seqOf(id)] : [],
      )
    for (const name of new Set([...before.topics, ...after.topics])) {
      const times = told(name).length
      // A close that came by a pattern may come again once the topic is named: only closes of named topics end a stream.
      const again = this.hasChanged && before.matches(name) && !before.topics.has(name) ? 1 : 0
      if (times > this.#closes(history, name).length + again) return `It got ${times} closes of ${name}`
    }
    const open = [...after.topics].filter((name) => {
      const last = this.#closes(history, name).at(-1)
      const isOpen = last === undefined || isGone({ topic: name, seq: last, time: 0 })
      return isOpen || (told(name).at(-1) ?? -1) < last
    })
    const isClosedForGood = (name: string) => {
      const last = this.#closes(history, name).at(-1)
      return last !== undefined && !isGone({ topic: name, seq: last, time: 0 })
    }
    if (ended)
      return after.patterns.length > 0 || [...after.topics].some((name) => told(name).length === 0)
        ? 'It ended early'
        : undefined
    const silent = open.filter(isClosedForGood)
    if (silent.length > 0) return `It got no close of ${silent}`
    return after.patterns.length === 0 && open.length === 0 ? 'It did not end' : undefined
  }

  /** The closes of a topic that may be reported: all but those that had been deleted when the reader connected. */
  #closes(history: readonly Happened[], topic: string): number[] {
    const deletedTo = Math.max(0, ...this.heard.filter(({ deleted }) => deleted === topic).map(({ upTo }) => upTo))
    return history.flatMap((one) =>
      'entry' in one && one.entry.topic === topic && one.entry.close && one.entry.seq > deletedTo
        ? [one.entry.seq]
        : [],
    )
  }
}
