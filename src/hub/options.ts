import type { Beginning } from '../log/log.ts'
import { defaultTopicLimits, type TopicLimits } from '../topic.ts'
import type { HubEvents } from './events.ts'
import type { MessageLimits } from './message.ts'
import type { Subscription } from './subscription.ts'

/**
 * How a hub delivers; the defaults are `defaultHubOptions`.
 *
 * @example
 * const options: Partial<HubOptions> = { heartbeatMs: 5000, maxReaders: 1000 }
 * const small = new Hub(memoryLog, options)
 */
export interface HubOptions extends MessageLimits, TopicLimits {
  /** Most bytes given to a reader at once. A single frame may be longer. */
  readonly maxChunkBytes: number
  /** Most frames, and most bytes of them, that stay in memory. Readers catch up from these frames without reading the log. */
  readonly windowCount: number
  readonly windowBytes: number
  /** A stream without output for this long sends a comment, or a checkpoint if its position has moved. */
  readonly heartbeatMs: number
  /** A stream ends after this long, ± 20 %, and the client reconnects. This is the only sure way to notice that a client is gone. */
  readonly lifetimeMs: number
  /** A reader that does not take its chunk for this long is disconnected. */
  readonly stallMs: number
  /** The `retry:` sent to clients: how long they wait before they reconnect. */
  readonly retryMs: number
  /** Adds up to as much again to the `retry:` of each reader, so that readers that lose their hub together come back at different times. */
  readonly spreadsRetry?: boolean
  /** Most open streams. */
  readonly maxReaders: number
  /** Whether memory is so short that new streams and streamed bodies are refused. Missing where the runtime cannot tell. */
  readonly isShort?: () => boolean
  /** Most readers that receive history from the log at once. An open stream that falls behind counts, but is never refused. */
  readonly maxReplays: number
  /** Most events per second that one reader receives from the log, so that history does not slow live readers down. */
  readonly replayRate: number
  /** Functions that the hub calls when something happens. */
  readonly events?: HubEvents
}

export const defaultHubOptions: HubOptions = {
  ...defaultTopicLimits,
  maxEventBytes: 63 * 1024, // clients built on Go's Scanner fail, or hang, at events of 64 KiB
  maxChunkBytes: 64 * 1024,
  windowCount: 10_000,
  windowBytes: 8 * 1024 ** 2,
  heartbeatMs: 15_000,
  lifetimeMs: 15 * 60_000,
  stallMs: 30_000,
  retryMs: 3000,
  maxReaders: 50_000,
  maxReplays: 1000,
  replayRate: 10_000,
}

/**
 * Where a stream begins, what it holds, and what is called when it ends.
 *
 * @example
 * const options: SubscribeOptions = { from: { last: 20 }, envelope: true }
 * const chat = await hub.subscribe(Filter.parse(['chat/*']), options)
 */
export interface SubscribeOptions {
  /** The `Last-Event-ID` that the client sent; an empty text counts as none. A text that is no position gets a `hub.gap`, not an error. */
  readonly lastEventId?: string
  /** Where to begin without `lastEventId`: at the oldest kept entry, the newest `last` entries, or a time. Default: the head. */
  readonly from?: 'earliest' | Beginning
  /** Gives a reader that is behind only the newest event of each topic. */
  readonly latest?: boolean
  /** Puts the data of each event into a JSON object with its topic, its name and its time. */
  readonly envelope?: boolean
  /**
   * `false` leaves out control events, for readers that would take them for data. Only once all topics are closed as `done` does the stream
   * then end cleanly, see `Subscription.mustBreakOff`.
   */
  readonly control?: boolean
  /** With `latest`: reports skipped entries with a `hub.gap` of reason `conflated`. */
  readonly gaps?: boolean
  /** Repeats the newest entry at this interval in ms. Only for a filter of exactly one topic. */
  readonly repeatMs?: number
  /** Called when the reader has not taken its chunk for `stallMs`: close its connection. */
  readonly drop?: () => void
  /** Called once when the stream has ended. */
  readonly onEnd?: (subscription: Subscription) => void
  /** Abort it when the client has gone. A search for the beginning then stops, and `subscribe` resolves with undefined. */
  readonly signal?: AbortSignal
  /** Names the reader in output lines; other readers never see this name. */
  readonly who?: string
  /** When the stream must end, in ms since 1970. The reader is warned 30 s before. */
  readonly expiresAt?: number
}
