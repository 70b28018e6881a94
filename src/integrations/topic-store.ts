import type { Client, Closed, EventOf, Schemas, State, SubscribeOptions, Subscription } from '../../public/client.js'

/** Newest events that a component keeps, and topics with their newest event, unless it asks for another number. */
const KEPT = 100

/** How often a component is updated at most, in ms: events that come together are shown together. */
const FRAME_MS = 16

/**
 * What a component shows of its topics. A change makes another object.
 *
 * @example
 * const newestOf = ({ events }: TopicView<TidingsEvent>) => events.at(-1)?.data ?? 'nothing yet'
 */
export interface TopicView<Event> {
  /** The newest events, the oldest of them first. */
  readonly events: readonly Event[]
  /** The newest event of each topic, of the topics that had an event last. */
  readonly latest: ReadonlyMap<string, Event>
  readonly state: State
  /** The topics that were closed, each with its outcome. */
  readonly closed: readonly Closed[]
}

/**
 * Where to begin, what `data` must be, and how many events to keep.
 *
 * @example
 * const options: TopicOptions<undefined> = { last: 50, keep: 200 }
 */
export type TopicOptions<S extends Schemas | undefined> = Omit<
  SubscribeOptions<S>,
  'onEvent' | 'onState' | 'onOpen' | 'onClosed' | 'signal'
> & {
  /** How many of the newest events, and topics with their newest event, to keep; by default 100. */
  readonly keep?: number
}

/** A view without events, before the first event and while a page is rendered on a server. */
const EMPTY: TopicView<never> = {
  events: [],
  latest: new Map<string, never>(),
  state: { state: 'connecting' },
  closed: [],
}

/**
 * A subscription as a component sees it: a view that changes. The subscription begins with the first listener and is closed after the last one
 * has gone. A listener that comes back goes on after what was read.
 */
export class TopicStore<S extends Schemas | undefined> {
  /** The options of the last rendering, whose callbacks are called. */
  options: TopicOptions<S>
  readonly #hub: Client
  readonly #topics: string | readonly string[]
  readonly #listeners = new Set<() => void>()
  #view: TopicView<EventOf<S>> = EMPTY
  readonly #events: EventOf<S>[] = []
  readonly #latest = new Map<string, EventOf<S>>()
  readonly #closed: Closed[] = []
  #state: State = EMPTY.state
  #subscription: Subscription<EventOf<S>> | undefined
  /** What the subscription before has read: events, and the positions between them. */
  #position: string | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(hub: Client, topics: string | readonly string[], options: TopicOptions<S>) {
    this.#hub = hub
    this.#topics = topics
    this.options = options
  }

  /** The current view. @see https://react.dev/reference/react/useSyncExternalStore */
  readonly view = (): TopicView<EventOf<S>> => this.#view

  readonly serverView = (): TopicView<EventOf<S>> => EMPTY

  /** Calls `listener` after each change of the view. @returns a function that ends this */
  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    this.#open()
    return () => {
      this.#listeners.delete(listener)
      // React's StrictMode removes a listener and adds it again at once.
      queueMicrotask(() => {
        if (this.#listeners.size === 0) this.#close()
      })
    }
  }

  #open(): void {
    if (this.#subscription) return
    const { keep = KEPT, onGap, onInvalid, ...options } = this.options
    this.#subscription = this.#hub.subscribe<S>(this.#topics, {
      ...(options as SubscribeOptions<S>),
      ...(this.#position !== undefined && { lastEventId: this.#position }),
      ...(onGap && { onGap: (gap) => this.options.onGap?.(gap) }),
      ...(onInvalid && { onInvalid: (event, issues) => this.options.onInvalid?.(event, issues) }),
      onEvent: (event) => this.#add(event, keep),
      onState: (state) => {
        this.#state = state
        this.#showSoon()
      },
      onClosed: (closed) => {
        this.#reopen(closed.topic)
        this.#closed.push(closed)
        this.#showSoon()
      },
    })
  }

  #reopen(topic: string): void {
    const at = this.#closed.findIndex((closed) => closed.topic === topic)
    if (at >= 0) this.#closed.splice(at, 1)
  }

  #add(event: EventOf<S>, keep: number): void {
    this.#reopen(event.topic)
    this.#events.push(event)
    if (this.#events.length > keep) this.#events.shift()
    this.#latest.delete(event.topic) // so that the topic is the last one
    this.#latest.set(event.topic, event)
    if (this.#latest.size > keep) this.#latest.delete(this.#latest.keys().next().value!)
    this.#showSoon()
  }

  #close(): void {
    this.#subscription?.close()
    this.#position = this.#subscription?.position ?? this.#position
    this.#subscription = undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #showSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#view = {
        events: [...this.#events],
        latest: new Map(this.#latest),
        state: this.#state,
        closed: [...this.#closed],
      }
      for (const listener of this.#listeners) listener()
    }, FRAME_MS)
  }
}

/** Names what a store was made for: another name needs another store. Callbacks are no part of it, and a schema must not change. */
export function nameOf(topics: string | readonly string[], options: TopicOptions<Schemas | undefined>): string {
  const { from, last, since, lastEventId, latest, gaps, repeatMs, keep } = options
  return JSON.stringify([topics, from, last, since, lastEventId, latest, gaps, repeatMs, keep])
}
