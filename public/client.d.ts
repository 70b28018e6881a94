/**
 * Connects to a hub. Nothing is sent before the first `subscribe` or `publish`.
 *
 * @example
 * const hub = connect({ url: 'https://hub.example', token: () => fetch('/token').then((answer) => answer.text()) })
 * hub.subscribe('chat/*', { last: 50, onEvent: ({ topic, data }) => console.log(topic, data) })
 * await hub.publish({ topic: 'chat/room-1', data: 'hello' })
 */
export function connect(options: ConnectOptions): Client

export interface ConnectOptions {
  /** The base of the hub. In a page it may be relative: `'.'` is the hub that serves the page. */
  readonly url: string | URL
  /**
   * A token or an API key, sent as `Authorization: Bearer`. A function is called before the first request, when the hub says that the
   * token is about to expire, and once after each 401. If it throws, `onState` gets the error, and the client asks again later.
   */
  readonly token?: string | (() => string | Promise<string>)
  /** A ticket in place of a token, for `/event` alone. A function is called for each request, because a ticket is for one use. */
  readonly ticket?: string | (() => string | Promise<string>)
  /** Whether cookies are sent; the default of `fetch` is `'same-origin'`. */
  readonly credentials?: RequestCredentials
  /**
   * In a browser, all tabs of an origin that name the same hub and credential share one stream. A text is part of that name: give the id of
   * the user where cookies or tickets are the credential. Without Web Locks (outside of secure contexts, in sandboxed frames, and outside of
   * browsers) each subscription has a stream of its own, and so has one with `latest`, `gaps` or `repeatMs`.
   */
  readonly shared?: boolean | string
  /** The `HEARTBEAT` of the hub, by default 15 s. A stream that is silent for two of them is dead. Longer ones are learned by listening. */
  readonly heartbeatMs?: number
  /** In place of the global `fetch`. */
  readonly fetch?: (input: string, init: RequestInit) => Promise<Response>
}

export interface Client {
  /**
   * Subscribes to topics and patterns, up to 100, and keeps on until every topic is closed, the hub refuses, or `close` is called.
   * Without topics it reads the stream of the demo. Events go to `onEvent`; without `onEvent` they wait for an iteration.
   */
  subscribe<const S extends Schemas | undefined = undefined>(
    topics: string | readonly string[],
    options?: SubscribeOptions<S>,
  ): Subscription<EventOf<S>>
  /**
   * Publishes a message, or a list of which the hub takes all or none. Repeats the request after network errors, 429 and 5xx, for at most
   * `timeoutMs`. Each call has a key, so that a repeated request changes nothing.
   *
   * @throws TidingsError whose `outcome` says whether the message may have been published. Then call again with the `key` of the error.
   */
  publish(message: Message, options?: PublishOptions): Promise<Published>
  publish(messages: readonly Message[], options?: PublishOptions): Promise<PublishedList>
  /**
   * Sends one request to the hub with the client's token or cookies, such as `request('topics?prefix=chat/')`. It is not repeated.
   *
   * @param path relative to the base of the hub
   * @throws TidingsError what the hub refused, or `unreachable`
   */
  request(
    path: string,
    init?: Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> },
  ): Promise<Response>
  /** Closes every subscription. */
  close(): void
}

/** An event of a topic. */
export interface TidingsEvent<Data = string> {
  /** The position of the event, with which a later subscription resumes; '' for a repeat. */
  readonly id: string
  readonly topic: string
  /** The name that the publisher gave to the event, by default `message`. */
  readonly event: string
  /** The text as published, for a JSON value its JSON; with a schema, what the schema returns. */
  readonly data: Data
  /** When the hub took the event, as in RFC 3339. */
  readonly time: string
}

export interface SubscribeOptions<S extends Schemas | undefined = undefined> {
  /** Begins with the oldest kept event. */
  readonly from?: 'earliest'
  /** Begins with this many of the newest events, 1 to 10,000. */
  readonly last?: number
  /** Begins at a time as in RFC 3339, or this long ago: `90s`, `10m`, `2h`, `7d`. */
  readonly since?: string
  /** Begins after this position, the `id` of an event. It wins over `from`, `last` and `since`. */
  readonly lastEventId?: string
  /** Gives a reader that is behind only the newest event of each topic. */
  readonly latest?: boolean
  /** With `latest`: reports the skipped events as a gap. */
  readonly gaps?: boolean
  /** Repeats the newest event of one topic at this interval, 1,000 to 3,600,000. */
  readonly repeatMs?: number
  /**
   * What `data` must be: one Standard Schema, or one for each event name, or one for each topic or pattern. The schema gets the data parsed
   * as JSON, or the text if it is none. Events of names or topics that have no schema are left out.
   */
  readonly schema?: S
  /** Closes the subscription when it aborts. */
  readonly signal?: AbortSignal
  /** Gets each event, in order. The next event waits for a returned promise. */
  onEvent?(event: EventOf<S>): unknown
  /** The stream is open, or open again. With `gap`, `onGap` follows. */
  onOpen?(opened: { readonly state: 'live' | 'resumed' | 'gap' }): unknown
  /**
   * Events are lost: load the state anew. The stream goes on. Without `onGap` an iteration throws, and otherwise the console shows an
   * error once.
   */
  onGap?(gap: Gap): unknown
  /** A topic was closed: nothing more can follow on it, unless it is deleted and used again. */
  onClosed?(closed: Closed): unknown
  /** The state of the connection has changed. */
  onState?(state: State): unknown
  /** An event is left out: its schema does not accept the data, or throws. Without `onInvalid` it is loud, as a gap is. */
  onInvalid?(event: TidingsEvent, issues: readonly Issue[]): unknown
}

export interface Subscription<Event = TidingsEvent> extends AsyncIterable<Event> {
  readonly topics: readonly string[]
  /**
   * The position of the last event, or of the stream; undefined until it is open. After a loop was left, that of the last event that the
   * loop got.
   */
  readonly position: string | undefined
  readonly state: State
  /**
   * Reads other topics from now on, on the same stream, at the same position: topics that are new begin there.
   *
   * @throws TidingsError if the hub refuses them. The former topics stay.
   */
  change(topics: string | readonly string[]): Promise<void>
  close(): void
  /** Ends when every topic is closed or `close` is called. Leaving the loop closes the subscription. @throws TidingsError */
  [Symbol.asyncIterator](): AsyncIterator<Event, void>
}

export type State =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  /** The connection is lost, or the hub refuses for a time. The next attempt follows in `retryInMs`. */
  | { readonly state: 'reconnecting'; readonly retryInMs: number; readonly error: TidingsError | undefined }
  /** Every topic is closed. */
  | { readonly state: 'closed' }
  /** The hub refuses for good, or an iteration threw. */
  | { readonly state: 'failed'; readonly error: TidingsError }
  /** `close` was called. */
  | { readonly state: 'stopped' }

export interface Gap {
  readonly reason: 'trimmed' | 'epoch' | 'unknown' | 'ahead' | 'conflated'
  readonly from?: string
  readonly to?: string
  readonly exact?: boolean
}

/** A closed topic and, where the hub says it, how it ended. Hubs whose topics have no outcomes say nothing, which means `done`. */
export interface Closed {
  readonly topic: string
  /** Undefined if the topic was closed before the subscription, and nobody said how. */
  readonly outcome: 'done' | 'failed' | 'stopped' | 'abandoned' | undefined
  readonly detail?: unknown
}

export interface Message {
  readonly topic: string
  /** A text, or any JSON value. */
  readonly data: unknown
  readonly event?: string
  readonly retry?: number
  /** In place of the key that `publish` makes. */
  readonly key?: string
  /** Closes the topic. */
  readonly close?: boolean
}

export interface PublishOptions {
  /** The key of the call: publishing again with the same key changes nothing. Item n of a list has the key `<key>/<n>`. Random by default. */
  readonly key?: string
  readonly signal?: AbortSignal
  /** For how long a request is repeated, by default 30 s. */
  readonly timeoutMs?: number
}

export interface Published {
  readonly id: string
  readonly topic: string
  readonly durability: string
  /** The message was published before. */
  readonly duplicate?: boolean
}

export interface PublishedList {
  readonly ids: readonly string[]
  readonly topics: readonly string[]
  readonly durability: string
}

/** What the hub refused, or what kept the client from reaching it. `cause` is the error below, if there is one. */
export class TidingsError extends Error {
  constructor(
    code: string,
    message: string,
    more?: Partial<Pick<TidingsError, 'status' | 'retryAfterMs' | 'gap' | 'cause'>>,
  )
  /**
   * A code of the hub (`forbidden`, `token_invalid`, `topic_closed`, …), `http_<status>` if something else has answered, or one of the
   * client: `unreachable`, `silent` (a dead connection), `not_a_hub`, `gap`, `data_invalid`.
   */
  readonly code: string
  /** The HTTP status, if there was an answer: 401, 403 and 404 are final. */
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined
  /** The gap of the code `gap`. */
  readonly gap: Gap | undefined
  /** Whether the same request may succeed later. */
  readonly isTemporary: boolean
  /** Of `publish`: `unknown` if the message may have been published, or else `refused`. */
  outcome: 'unknown' | 'refused' | undefined
  /** Of `publish`: the key of the call. */
  key: string | undefined
}

/** See https://standardschema.dev: Zod, Valibot, ArkType and others make such schemas. */
export interface Schema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] }

export interface Issue {
  readonly message: string
  readonly path?: readonly unknown[] | undefined
}

/** One schema for all events, or one for each event name, or one for each topic or pattern. */
export type Schemas =
  | Schema
  | { readonly events: Readonly<Record<string, Schema>> }
  | { readonly topics: Readonly<Record<string, Schema>> }

type OutputOf<S> = S extends Schema<infer Output> ? Output : never

/** The events of a subscription with these schemas. */
export type EventOf<S> = S extends Schema
  ? TidingsEvent<OutputOf<S>>
  : S extends { readonly events: infer Names }
    ? { [Name in keyof Names & string]: TidingsEvent<OutputOf<Names[Name]>> & { readonly event: Name } }[keyof Names &
        string]
    : S extends { readonly topics: infer Topics }
      ? {
          [Topic in keyof Topics & string]: TidingsEvent<OutputOf<Topics[Topic]>> & {
            readonly topic: Topic extends `${string}*${string}` ? string : Topic
          }
        }[keyof Topics & string]
      : TidingsEvent

/**
 * A parser of event streams, by the HTML Standard (9.2.6).
 *
 * @returns `feed`, which takes the next bytes of a stream, cut anywhere, and throws if an event has more than 16 Mi characters
 */
export function createParser(callbacks: {
  onEvent?(frame: Frame): void
  onRetry?(ms: number): void
  onComment?(): void
}): { feed(bytes: Uint8Array): void }

export interface Frame {
  readonly event: string
  readonly data: string
  /** Undefined if the frame has no id. */
  readonly id: string | undefined
}

/** Whether a topic matches a topic or pattern. `*` stands for one segment, a last `**` for the rest; neither for a leading `$…`. */
export function matches(pattern: string, topic: string): boolean

/**
 * How long to wait before the next attempt, in ms, when the hub has been away for `awayMs`: at random, because readers of a hub that was
 * lost must not return together, between 0 and `awayMs`, but at least up to `retryMs` and at most up to 30 s. So a reader is back at most
 * as long after its hub as the hub was away.
 */
export function backoffMs(awayMs: number, retryMs: number, random?: () => number): number
