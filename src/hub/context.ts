import type { Turns } from '../turn.ts'
import type { EndReason, HubEvents } from './events.ts'
import type { Group } from './interests.ts'
import type { LogReader } from './log-reader.ts'
import type { Wanted } from './opening.ts'
import type { SharedChunks } from './shared.ts'
import type { Subscription } from './subscription.ts'
import type { Wheel } from './wheel.ts'
import type { Window } from './window.ts'

/** What a subscription needs of its hub. */
export interface HubContext {
  readonly epoch: string
  readonly events: HubEvents
  readonly logReader: LogReader
  readonly window: Window
  readonly maxChunkBytes: number
  readonly heartbeatMs: number
  readonly stallMs: number
  readonly retryMs: number
  /** Most events a second that one reader receives from the log. */
  readonly replayRate: number
  /** Readers that receive history from the log. */
  readonly replays: { open: number }
  readonly wheel: Wheel
  readonly shared: SharedChunks
  /** Where readers with much to catch up on take turns. */
  readonly turns: Turns
}

/** Who reads a subscription, from where, and for how long. */
export interface Start {
  readonly group: Group
  /** Names the reader in logs: a client's address, or a token's subject. */
  readonly who?: string
  /** The position that the reader goes on from: none, one of a log, or a text that is no position of any log. */
  readonly asked: Wanted['asked']
  /** Reports with a `hub.gap` what was passed over for something newer. */
  readonly gaps: boolean
  /** The demo's stream: the current value first, no `hub.open`, no checkpoints. */
  readonly isDemo: boolean
  readonly lifetimeMs: number
  /** When the stream must end, in ms since 1970. */
  readonly expiresAt?: number
  /** Takes this subscription out of a group that it has left. */
  readonly change: (before: Group) => void
  /** Takes this subscription off the hub. */
  readonly leave: (subscription: Subscription, why: EndReason) => void
  /** Disconnects the reader, which has not taken its chunk for `stallMs`. */
  readonly drop: () => void
}
