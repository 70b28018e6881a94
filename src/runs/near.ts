import { whenGone } from '../client-gone.ts'
import { AppError, quote } from '../errors.ts'
import type { Delivered } from '../hub/delivered.ts'
import type { TopicsQuery } from '../hub/directory.ts'
import type { Hub } from '../hub/hub.ts'
import { INSIDE } from '../hub/inside.ts'
import type { Published } from '../hub/internal.ts'
import { formatPosition } from '../hub/position.ts'
import { randomName } from '../hub/random.ts'
import type { Log, Message } from '../log/log.ts'
import type { RunState } from '../log/runs.ts'
import { isOwn, parseTopic } from '../topic.ts'
import { parseClaim } from './claim.ts'
import { type Lease, type Line, Producer } from './producer.ts'
import type { ClaimOptions, Run, RunEntriesOptions, RunInfo, Runs } from './run.ts'

/** Fewest runs that a list reads at once: of many, few may be shown. */
const PAGE = 100

const ofHubs = new WeakMap<Hub, NearRuns>()

/**
 * The runs of a hub in this process.
 *
 * @example
 * const run = await runs(hub).claim('jobs/7')
 * run.signal.addEventListener('abort', () => console.warn(run.signal.reason.message))
 * await run.publish({ data: '50 %' })
 * await run.end({ data: '100 %' })
 */
export function runs(hub: Hub): Runs {
  return nearRuns(hub)
}

/** The runs of a hub, with what its routes need of them. */
export function nearRuns(hub: Hub): NearRuns {
  const known = ofHubs.get(hub)
  if (known) return known
  const made = new NearRuns(hub)
  ofHubs.set(hub, made)
  return made
}

/** A claim, with the token that proves it. */
export interface Claimed {
  readonly token: string
  readonly info: RunInfo
}

export class NearRuns implements Runs, Line {
  readonly #hub: Hub
  /** The producers of this process, by topic. */
  readonly #producers = new Map<string, Set<Producer>>()
  /** The log that is watched. */
  #log: Log | undefined

  constructor(hub: Hub) {
    this.#hub = hub
  }

  async claim(topic: string, options: ClaimOptions = {}): Promise<Run> {
    return this.produce(await this.take(topic, options), { signal: options.signal })
  }

  /** Claims a topic for a producer that is elsewhere, and renews its lease itself. @throws AppError of `claim` */
  async take(name: string, options: ClaimOptions): Promise<Claimed> {
    const { leaseMs, graceMs, key } = parseClaim(options)
    const topic = this.#topicOf(name)
    const token = randomName()
    const claim = { token, leaseMs, graceMs, ...(key !== undefined && { key }) }
    const state = await (await this.#runs()).claim(topic, claim)
    return { token, info: await this.#describe(state) }
  }

  /** The producer of a claim. @param options.isElsewhere it gives its signs of life itself. `signal` releases it */
  produce(
    { token, info }: Claimed,
    { signal, isElsewhere = false }: { readonly signal?: AbortSignal | undefined; readonly isElsewhere?: boolean } = {},
  ): Producer {
    const { topic } = info
    let stopListening = () => {}
    const producer = new Producer({
      ...{ line: this, token, info, isElsewhere },
      onReleased: () => {
        stopListening()
        this.#forget(topic, producer)
      },
    })
    this.#producers.set(topic, (this.#producers.get(topic) ?? new Set()).add(producer))
    if (signal) stopListening = whenGone(signal, () => producer.release())
    void this.#changed(topic) // between the claim and now a stop may have been asked, or another may have taken over
    return producer
  }

  async stop(topic: string, fence?: number): Promise<RunInfo | undefined> {
    const state = await (await this.#runs()).stop(this.#topicOf(topic), fence)
    return state && this.#describe(state)
  }

  async state(topic: string): Promise<RunInfo | undefined> {
    const [state] = await (await this.#runs()).get([parseTopic(topic)])
    return state && this.#describe(state)
  }

  /** A page of the shown runs, by topic. After a page of `limit` runs there may be more. */
  async list({ prefixes, isShown, after, limit, signal }: TopicsQuery): Promise<readonly RunInfo[]> {
    const all = await this.#runs()
    const size = Math.max(limit, PAGE)
    const found: RunState[] = []
    for (const prefix of prefixes)
      for (let last = after; found.length < limit && !signal?.aborted; ) {
        const page = await all.list({ prefix, after: last, limit: size })
        found.push(...page.filter(({ topic }) => isShown(topic)))
        if (page.length < size) break
        last = page.at(-1)!.topic
      }
    return this.#describeAll(found.slice(0, limit))
  }

  entries(topic: string, { after, signal }: RunEntriesOptions = {}): AsyncIterable<Delivered> {
    return this.#hub.entries(parseTopic(topic), {
      until: 'closed',
      ...(after !== undefined && { after }),
      ...(signal && { signal }),
    })
  }

  async delete(topic: string): Promise<void> {
    await this.#hub.directory.erase(parseTopic(topic)).catch((error) => {
      if (!(error instanceof AppError && error.code === 'nothing_to_delete')) throw error
    })
  }

  publish(messages: readonly Message[]): Promise<readonly Published[]> {
    return this.#hub.publish(messages) // `#changed` tells of a stop
  }

  async renew(topic: string, { token }: Pick<Lease, 'token'>): Promise<RunInfo> {
    return this.#describe(await (await this.#runs()).renew(topic, token))
  }

  /** Whether the producer of a topic was asked to stop; false if the log cannot tell now. Never rejects: its publish has succeeded. */
  async isStopAsked(topic: string): Promise<boolean> {
    const states = await this.#runs()
      .then((runs) => runs.get([topic]))
      .catch(() => [])
    return states[0]?.isStopAsked === true
  }

  #topicOf(name: string): string {
    const topic = parseTopic(name, this.#hub[INSIDE].limits())
    if (isOwn(topic))
      throw new AppError('forbidden', `Cannot run ${quote(topic)}: topics that start with $ are the hub's own`)
    return topic
  }

  async #runs() {
    return (await this.#opened()).runs
  }

  /** The hub's present log, watched for changes of runs. */
  async #opened(): Promise<Log> {
    const log = await this.#hub[INSIDE].log()
    if (log === this.#log) return log
    this.#log = log
    log.runs.watch((topic) => void this.#changed(topic))
    return log
  }

  /** Tells the producers of a topic that its run has changed. */
  async #changed(topic: string): Promise<void> {
    const producers = [...(this.#producers.get(topic) ?? [])] // the state may be older than a producer that claims meanwhile
    if (producers.length === 0) return
    const state = await this.state(topic).catch(() => null) // a renewal tells it too
    if (state !== null) for (const producer of producers) producer.note(state)
  }

  async #describe(state: RunState): Promise<RunInfo> {
    return (await this.#describeAll([state]))[0]!
  }

  async #describeAll(states: readonly RunState[]): Promise<readonly RunInfo[]> {
    const { epoch, topics } = await this.#opened()
    const found = await topics({ names: states.map(({ topic }) => topic) })
    return states.map((state, i) => {
      const { last } = found[i]!
      return { ...state, lastId: last === 0 ? null : formatPosition(epoch, last) }
    })
  }

  #forget(topic: string, producer: Producer): void {
    const producers = this.#producers.get(topic)
    producers?.delete(producer)
    if (producers?.size === 0) this.#producers.delete(topic)
  }
}
