import type { Beginning } from '../log/log.ts'
import { defaultTopicLimits, type TopicLimits } from '../topic.ts'
import type { HubEvents } from './events.ts'
import type { MessageLimits } from './message.ts'
import type { Subscription } from './subscription.ts'

/** How a hub delivers; the defaults are `defaultHubOptions`. */
export interface HubOptions extends MessageLimits, TopicLimits {
  /** Most bytes handed to a reader at once, unless one frame alone is longer. */
  readonly maxChunkBytes: number
  /** How many of the newest frames, and bytes of them, stay in memory for readers to catch up from. */
  readonly windowCount: number
  readonly windowBytes: number
  /** A stream that was silent for this long gets a comment, or a checkpoint if its position has moved. */
  readonly heartbeatMs: number
  /** A stream ends after this long, ± 20 %, and its reader comes back: the one sure way to find that a peer is gone. */
  readonly lifetimeMs: number
  /** A reader that does not take its chunk for this long is disconnected. */
  readonly stallMs: number
  /** What `retry:` tells clients: after how long to reconnect. */
  readonly retryMs: number
  /** Most open streams. */
  readonly maxReaders: number
  /** Whether memory is so short that no new stream is opened and no streamed body is read, where the runtime can tell. */
  readonly isShort?: () => boolean
  /** Most readers that receive history from the log at once. A reader that falls behind while it is open is never refused, but counts. */
  readonly maxReplays: number
  /** Most events a second that one reader receives from the log, so that history does not starve live readers. */
  readonly replayRate: number
  /** Called with what happens in the hub. */
  readonly events?: HubEvents
}

export const defaultHubOptions: HubOptions = {
  ...defaultTopicLimits,
  maxEventBytes: 60 * 1024, // clients built on Go's Scanner fail at lines above 64 KiB
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

export interface SubscribeOptions {
  /** What the client sent as `Last-Event-ID`; empty is none. A text that is no position gets a `hub.gap`, never an error. */
  readonly lastEventId?: string
  /** Where to begin without a `lastEventId`: at the oldest kept entry, at the newest so many, or at a time; else at the head. */
  readonly from?: 'earliest' | Beginning
  /** Gives a reader that is behind only the newest event of each topic. */
  readonly latest?: boolean
  /** With `latest`: reports what was passed over with a `hub.gap` of reason `conflated`. */
  readonly gaps?: boolean
  /** Repeats the newest entry every so many ms; for a filter of one topic. */
  readonly repeatMs?: number
  /** Called when the hub gives up on a reader that does not drain: disconnect it. */
  readonly drop?: () => void
  /** Called once when the stream has ended. */
  readonly onEnd?: (subscription: Subscription) => void
  /** Aborts when the client has gone: a search for the beginning stops then, and `subscribe` resolves with nothing. */
  readonly signal?: AbortSignal
  /** Names the reader in logs; other readers never see it. */
  readonly who?: string
  /** When the stream must end, in ms since 1970. The reader is warned before. */
  readonly expiresAt?: number
}
