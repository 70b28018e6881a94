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
  readonly spreadsRetry?: boolean
  /** Most events a second that one reader receives from the log. */
  readonly replayRate: number
  /** How many readers receive history from the log now. */
  readonly replays: { open: number }
  readonly wheel: Wheel
  readonly shared: SharedChunks
  /** Lets readers that have much to catch up on take turns. */
  readonly turns: Turns
}

/** Who reads a subscription, from where, and for how long. */
export interface Start {
  readonly group: Group
  /** Names the reader in output lines: a client's address, or a token's subject. */
  readonly who?: string
  /** The position that the reader sent: undefined if it sent none, `unknown` if its text is no position of any log. */
  readonly asked: Wanted['asked']
  /** Whether a `hub.gap` reports the entries that were skipped for newer ones. */
  readonly gaps: boolean
  /** Whether this is the demo's stream: it starts with the current value and has no `hub.open` and no checkpoints. */
  readonly isDemo: boolean
  readonly lifetimeMs: number
  /** When the stream must end, in ms since 1970. */
  readonly expiresAt?: number
  /** Called when the subscription has joined another group; takes it out of the group `before`. */
  readonly change: (before: Group) => void
  /** Called once when the subscription ends; removes it from the hub. */
  readonly leave: (subscription: Subscription, why: EndReason) => void
  /** Disconnects the reader, which has not taken its chunk for `stallMs`. */
  readonly drop: () => void
}
