/**
 * Connects to a hub. Nothing is sent before the first `subscribe` or `publish`.
 *
 * @example
 * const hub = connect({ url: 'https://hub.example', token: () => fetch('/token').then((answer) => answer.text()) })
 * hub.subscribe('chat/*', { last: 50, onEvent: ({ topic, data }) => console.log(topic, data) })
 * await hub.publish({ topic: 'chat/room-1', data: 'hello' })
 */
export function connect(options: ConnectOptions): Client

/**
 * Where a hub is, and the credentials for it.
 *
 * @example
 * const token = async () => (await fetch('/token')).text()
 * const options: ConnectOptions = { url: 'https://hub.example', token, shared: true }
 */
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

/**
 * A client of one hub. `connect` makes it.
 *
 * @example
 * const client: Client = connect({ url: 'http://localhost:3000' })
 * const topics = await (await client.request('topics?prefix=chat/')).json()
 * client.close()
 */
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

/**
 * An event of a topic.
 *
 * @example
 * const lineOf = ({ time, topic, event, data }: TidingsEvent) => `${time} ${topic} ${event}: ${data}`
 * hub.subscribe('chat/*', { onEvent: (event) => console.log(lineOf(event)) })
 */
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

/**
 * Where a subscription begins, what it reads, and what it calls.
 *
 * @example
 * const options: SubscribeOptions = {
 *   last: 50,
 *   onEvent: ({ data }) => console.log(data),
 *   onGap: ({ reason }) => console.warn(`Some events are lost: ${reason}`),
 * }
 * hub.subscribe('chat/room-1', options)
 */
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

/**
 * A subscription. Without `onEvent`, a loop over it gets the events.
 *
 * @example
 * const subscription: Subscription = hub.subscribe('chat/*', { from: 'earliest' })
 * for await (const { topic, data } of subscription) console.log(topic, data)
 */
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

/**
 * The state of a subscription.
 *
 * @example
 * const textOf = (state: State) =>
 *   state.state === 'reconnecting' ? `back in ${Math.ceil(state.retryInMs / 1000)} s` : state.state
 * hub.subscribe('chat/*', { onEvent: console.log, onState: (state) => console.log(textOf(state)) })
 */
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

/**
 * Events that can no longer be delivered: those after the position `from`, up to and including `to`.
 *
 * @example
 * const report = ({ reason, from, to }: Gap) => console.warn(`Lost from ${from} to ${to}: ${reason}`)
 * hub.subscribe('chat/*', { onEvent: console.log, onGap: report })
 */
export interface Gap {
  /**
   * `trimmed`: retention or a deletion has removed them. `epoch`: the log was replaced. `unknown`: the position is not one of this hub.
   * `ahead`: the position is newer than the newest event. `conflated`: `latest` has skipped them.
   */
  readonly reason: 'trimmed' | 'epoch' | 'unknown' | 'ahead' | 'conflated'
  readonly from?: string
  readonly to?: string
  /** Whether an event of these topics is certainly missing. */
  readonly exact?: boolean
}

/**
 * A closed topic and, where the hub says it, how it ended. Hubs whose topics have no outcomes say nothing, which means `done`.
 *
 * @example
 * const report = ({ topic, outcome, detail }: Closed) => console.log(topic, outcome, detail ?? '')
 * hub.subscribe('ai/answer-1', { onEvent: console.log, onClosed: report })
 */
export interface Closed {
  readonly topic: string
  /** Undefined if the topic was closed before the subscription, and nobody said how. */
  readonly outcome: 'done' | 'failed' | 'stopped' | 'abandoned' | undefined
  readonly detail?: unknown
}

/**
 * A message to publish.
 *
 * @example
 * const message: Message = { topic: 'prices/ACME', data: { ask: 41.5 }, event: 'price' }
 * await hub.publish(message)
 */
export interface Message {
  readonly topic: string
  /** A text, or any JSON value. */
  readonly data: unknown
  /** The name of the event, by default `message`. */
  readonly event?: string
  /** The time after which readers of the message reconnect, 500 to 3,600,000 ms. */
  readonly retry?: number
  /** In place of the key that `publish` makes. */
  readonly key?: string
  /** Closes the topic. */
  readonly close?: boolean
}

/**
 * How a message or a list is published.
 *
 * @example
 * const options: PublishOptions = { key: 'order-7-paid', timeoutMs: 5000 }
 * await hub.publish({ topic: 'orders/7', data: 'paid' }, options)
 */
export interface PublishOptions {
  /** The key of the call: publishing again with the same key changes nothing. Item n of a list has the key `<key>/<n>`. Random by default. */
  readonly key?: string
  readonly signal?: AbortSignal
  /** For how long a request is repeated, by default 30 s. */
  readonly timeoutMs?: number
}

/**
 * A message that the hub has taken.
 *
 * @example
 * const { id, durability }: Published = await hub.publish({ topic: 'orders/7', data: 'paid' })
 * if (durability === 'memory') console.warn(`${id} ends with the process of the hub`)
 */
export interface Published {
  /** The position, which readers get as `id`. */
  readonly id: string
  readonly topic: string
  /** What the event survives: nothing (`memory`), kill -9 (`process`), a power cut (`disk`), or the loss of a minority (`quorum`). */
  readonly durability: string
  /** The message was published before. */
  readonly duplicate?: boolean
}

/**
 * A list that the hub has taken, with the ids in the order of the messages.
 *
 * @example
 * const topic = 'chat/room-1'
 * const { ids }: PublishedList = await hub.publish(['hello', 'again'].map((data) => ({ topic, data })))
 * console.log(`Published up to ${ids.at(-1)}`)
 */
export interface PublishedList {
  readonly ids: readonly string[]
  readonly topics: readonly string[]
  readonly durability: string
}

/**
 * What the hub refused, or what kept the client from reaching it. `cause` is the error below, if there is one.
 *
 * @example
 * const message = { topic: 'orders/7', data: 'paid' }
 * await hub.publish(message).catch((error) => {
 *   if (!(error instanceof TidingsError && error.outcome === 'unknown')) throw error
 *   return hub.publish(message, { key: error.key! })
 * })
 */
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

/**
 * A Standard Schema, as Zod, Valibot, ArkType and others make them (https://standardschema.dev).
 *
 * @example
 * import * as v from 'valibot'
 * const schema: Schema<{ ask: number }> = v.object({ ask: v.number() })
 * hub.subscribe('prices/*', { schema, onEvent: ({ data }) => console.log(data.ask) })
 */
export interface Schema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

/**
 * What a schema makes of a value, or what is wrong with the value.
 *
 * @example
 * const validate = (value: unknown): SchemaResult<string> =>
 *   typeof value === 'string' ? { value: value.trim() } : { issues: [{ message: 'Expected a text' }] }
 * const trimmed: Schema<string> = { '~standard': { version: 1, vendor: 'example', validate } }
 */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] }

/**
 * What is wrong with a value, and where in it.
 *
 * @example
 * import * as v from 'valibot'
 * const textOf = (issues: readonly Issue[]) => issues.map(({ message }) => message).join('; ')
 * hub.subscribe('prices/*', { schema: v.number(), onInvalid: ({ id }, issues) => console.warn(id, textOf(issues)) })
 */
export interface Issue {
  readonly message: string
  readonly path?: readonly unknown[] | undefined
}

/**
 * One schema for all events, or one for each event name, or one for each topic or pattern.
 *
 * @example
 * import * as v from 'valibot'
 * const schema = { events: { price: v.object({ ask: v.number() }), note: v.string() } } satisfies Schemas
 * for await (const said of hub.subscribe('prices/*', { schema }))
 *   console.log(said.event === 'price' ? said.data.ask : said.data)
 */
export type Schemas =
  | Schema
  | { readonly events: Readonly<Record<string, Schema>> }
  | { readonly topics: Readonly<Record<string, Schema>> }

/**
 * What a schema returns.
 *
 * @example
 * import * as v from 'valibot'
 * const schema = v.object({ ask: v.number() })
 * const format = ({ ask }: OutputOf<typeof schema>) => ask.toFixed(2)
 */
export type OutputOf<S> = S extends Schema<infer Output> ? Output : never

/**
 * The events of a subscription with these schemas.
 *
 * @example
 * import * as v from 'valibot'
 * const schema = v.object({ ask: v.number() })
 * const show = ({ topic, data }: EventOf<typeof schema>) => console.log(topic, data.ask)
 * hub.subscribe('prices/*', { schema, onEvent: show })
 */
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
 * @example
 * const parser = createParser({ onEvent: ({ event, data }) => console.log(event, data) })
 * const { body } = await hub.request('event?topic=chat/*')
 * for await (const bytes of body!) parser.feed(bytes)
 */
export function createParser(callbacks: {
  onEvent?(frame: Frame): void
  onRetry?(ms: number): void
  onComment?(): void
}): { feed(bytes: Uint8Array): void }

/**
 * An event of a stream, as `createParser` reads it.
 *
 * @example
 * const lineOf = ({ id, event, data }: Frame) => `${id ?? '-'} ${event} ${data}`
 * const parser = createParser({ onEvent: (frame) => console.log(lineOf(frame)) })
 */
export interface Frame {
  readonly event: string
  readonly data: string
  /** Undefined if the frame has no id. */
  readonly id: string | undefined
}

/**
 * Whether a topic matches a topic or pattern. `*` stands for one segment, a last `**` for the rest; neither for a leading `$…`.
 *
 * @example
 * console.log(matches('chat/*', 'chat/room-1')) // true
 * console.log(matches('**', '$stop/chat')) // false
 */
export function matches(pattern: string, topic: string): boolean

/**
 * How long to wait before the next attempt, in ms, when the hub has been away for `awayMs`: at random, because readers of a hub that was
 * lost must not return together, between 0 and `awayMs`, but at least up to `retryMs` and at most up to 30 s. So a reader is back at most
 * as long after its hub as the hub was away.
 *
 * @example
 * const lostAt = Date.now()
 * while (!(await fetch('https://hub.example/ready').catch(() => undefined))?.ok)
 *   await new Promise((resolve) => setTimeout(resolve, backoffMs(Date.now() - lostAt, 3000)))
 */
export function backoffMs(awayMs: number, retryMs: number, random?: () => number): number
