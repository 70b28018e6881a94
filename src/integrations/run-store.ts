import type { Client, Closed, EventOf, Schemas, State } from '../../public/client.js'
import { type RunInfo, runState, stopRun } from '../../public/client-runs.js'
import { type TopicOptions, TopicStore, type TopicView } from './topic-store.ts'

/** Events that a component keeps of a run, unless it asks for another number: an answer is shown from its beginning. */
const KEPT = 10_000

/**
 * What a component shows of a run. A change makes another object.
 *
 * @example
 * const textOf = ({ events, outcome }: RunView<TidingsEvent>) =>
 *   events.map(({ data }) => data).join('') + (outcome === 'failed' ? ' (failed)' : '')
 */
export interface RunView<Event> {
  /** The events of the run, the oldest of them first. */
  readonly events: readonly Event[]
  /** The state of the connection: `closed` once the run has ended. */
  readonly state: State
  /** How the run has ended, after its last event; undefined until then. */
  readonly outcome: Closed['outcome']
  /** Why the run has failed. */
  readonly detail: unknown
  /** Whether somebody has asked the producer to stop: `stop` of this view, or another program before the stream was opened. */
  readonly isStopAsked: boolean
  /** Asks the producer to stop. @throws TidingsError as `stopRun` of `tidings/client-runs` */
  readonly stop: () => Promise<void>
}

/**
 * Where to begin, the oldest kept event by default, and how many events to keep, by default 10,000.
 *
 * @example
 * const options: RunOptions<undefined> = { last: 100, onGap: ({ reason }) => console.warn(reason) }
 */
export type RunOptions<S extends Schemas | undefined> = Omit<TopicOptions<S>, 'latest' | 'gaps' | 'repeatMs'>

/** A run as a component sees it: the view of its topic, and what the hub knows of its producer. */
export class RunStore<S extends Schemas | undefined> {
  readonly #hub: Client
  readonly #topic: string
  readonly #events: TopicStore<S>
  readonly #listeners = new Set<() => void>()
  readonly #serverView: RunView<EventOf<S>>
  #view: RunView<EventOf<S>>
  #viewOf: TopicView<EventOf<S>>
  /** The state of the connection for which the hub was asked last. */
  #askedIn: State | undefined
  #info: Partial<RunInfo> = {}

  constructor(hub: Client, topic: string, options: RunOptions<S>) {
    this.#hub = hub
    this.#topic = topic
    this.#events = new TopicStore<S>(hub, topic, startingOf(options))
    this.#viewOf = this.#events.serverView()
    this.#serverView = this.#view = this.#make()
  }

  /** The options of the last rendering, whose callbacks are called. */
  set options(options: RunOptions<S>) {
    this.#events.options = startingOf(options)
  }

  readonly view = (): RunView<EventOf<S>> => {
    const view = this.#events.view()
    if (view !== this.#viewOf) {
      this.#viewOf = view
      this.#view = this.#make()
    }
    return this.#view
  }

  readonly serverView = (): RunView<EventOf<S>> => this.#serverView

  /** Calls `listener` after each change of the view. @returns a function that ends this */
  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    const leave = this.#events.listen(() => {
      void this.#ask()
      listener()
    })
    return () => {
      this.#listeners.delete(listener)
      leave()
    }
  }

  readonly #stop = async (): Promise<void> => {
    this.#learn((await stopRun(this.#hub, this.#topic)) ?? { isStopAsked: true })
  }

  /** Asks for what the events do not tell: whether a stop was asked for, and how a run ended that was closed before the subscription. */
  async #ask(): Promise<void> {
    const { state, closed } = this.#events.view()
    const isNews = state.state === 'live' || (state.state === 'closed' && !closed[0]?.outcome)
    if (!isNews || state === this.#askedIn) return
    this.#askedIn = state
    // Without an answer the view has the events: the subscription reports a hub that refuses or is away.
    const info = await runState(this.#hub, this.#topic).catch(() => undefined)
    if (info) this.#learn(info)
  }

  #learn(info: Partial<RunInfo>): void {
    this.#info = info
    this.#view = this.#make()
    for (const listener of this.#listeners) listener()
  }

  #make(): RunView<EventOf<S>> {
    const { events, state, closed } = this.#viewOf
    const { isStopAsked = false, ...info } = this.#info
    const [end] = closed
    const { outcome, detail } = end?.outcome || !end ? (end ?? {}) : info
    return { events, state, outcome, detail, isStopAsked, stop: this.#stop }
  }
}

function startingOf<S extends Schemas | undefined>(options: RunOptions<S>): TopicOptions<S> {
  const { last, since, lastEventId } = options
  const isGiven = last !== undefined || since !== undefined || lastEventId !== undefined
  return { ...(!isGiven && { from: 'earliest' as const }), keep: KEPT, ...options }
}
