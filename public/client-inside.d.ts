/** The types between the parts of the client. Programs use those of client.d.ts. */
import type {
  Closed,
  ConnectOptions,
  Gap,
  Message,
  PublishOptions,
  State,
  SubscribeOptions,
  Subscription,
  TidingsError,
  TidingsEvent,
} from './client.d.ts'

/** A hub, with the credentials for it. */
export interface Hub {
  readonly base: URL
  readonly heartbeatMs: number
  readonly token: ConnectOptions['token']
  readonly ticket: ConnectOptions['ticket']
  /** The current token. @param stale one that is of no use any more */
  tokenOf(stale?: string): Promise<string | undefined>
  post(path: string, body: unknown, signal?: AbortSignal | null): Promise<Response>
  /** Asks for events, of a stream or of a poll by what is accepted. */
  ask(query: URLSearchParams, accept: string, signal?: AbortSignal | null): Promise<Response>
  /** The error of an answer that is no success. */
  errorOf(response: Response): Promise<TidingsError>
  /** The error of a request without an answer. */
  failure(cause: unknown): TidingsError
}

/** A subscription as its source sees it. */
export interface Sink extends Omit<Subscription<unknown>, 'change'> {
  topics: readonly string[]
  position: string | undefined
  readonly options: SubscribeOptions
  readonly isOpen: boolean
  readonly closed: Set<string>
  /** The parameters of the next request. */
  readonly query: URLSearchParams
  enter(state: State): void
  opened(opened: { state: 'live' | 'resumed' | 'gap' }): void
  deliver(event: TidingsEvent): Promise<void>
  gap(gap: Gap): unknown
  topicClosed(closed: Partial<Closed> & { topic: string }): void
  fail(error: TidingsError): void
  wake(isOnline: boolean): void
  change(topics: string | readonly string[]): Promise<unknown>
}

/** Where the events of a subscription come from: a stream of its own, or the tabs. */
export interface Reading {
  /** Resolves with true if the live stream reads these topics now; otherwise the next `opened` says when it does. */
  change(topics: readonly string[]): Promise<unknown>
  /** The runtime was asleep or offline. */
  wake(isOnline: boolean): void
  stop(): void
}

export type Source = (subscription: Sink) => Reading | Promise<Reading>

export type OpenStream = (hub: Hub, subscription: Sink) => Reading

export type CreateSubscription = (
  topics: readonly string[],
  options: SubscribeOptions,
  source: Source,
  onEnd?: (subscription: Sink) => void,
) => Sink

export type Publish = (hub: Hub, messages: Message | readonly Message[], options?: PublishOptions) => Promise<unknown>

/** Opens a stream that nobody shares. */
export type Open = (topics: readonly string[], options: SubscribeOptions) => Sink

/** Rejects where tabs cannot share a stream. */
export type CreateTabs = (hub: Hub, shared: boolean | string, own: Source, open: Open) => Promise<Source>

/** An event that a tab got from the leader. */
export type Shared = TidingsEvent

/** A subscription of a tab. */
export interface Member {
  readonly subscription: Sink
  /** Aborts the last call of `attach` and its requests, for another call or because the subscription ends. */
  run: AbortController
  /** Settles when the program has had everything that was handed to it. */
  tail: Promise<void>
  /** Events of the shared stream that wait while the subscription polls; undefined while it is live. */
  waiting: Shared[] | undefined
  /** Events that the program has not had yet. */
  handed: number
  /** The hub allows its topics. */
  isChecked?: boolean
  /** Events were not kept. */
  isBehind?: boolean
  isResumed?: boolean
  /** A stream of its own. */
  own?: Reading
}

/** A tab as the leader sees it. */
export interface Tab {
  readonly channel: BroadcastChannel
  topics: readonly string[]
  turn: number
  events: Shared[]
  isGone?: boolean
}
