/** What a producer process is to do. */
export interface Order {
  /** Makes what it says different from what others say. */
  readonly name: string
  /** `calls` claims, publishes and ends with requests; `body` sends one body that is a run. */
  readonly way: 'calls' | 'body'
  /** The nodes of the hub. */
  readonly urls: readonly string[]
  readonly topic: string
  readonly key: string
  readonly leaseMs: number
  readonly graceMs: number
  readonly tokens: number
  readonly everyMs: number
}

/** What a producer process has done. */
export type Step =
  | { readonly claimed: number }
  | { readonly acknowledged: string; readonly id: string }
  /** The code of an error after which it tries again. */
  | { readonly refused: string }
  /** Why it has ended: `done`, `stopped`, or the code of an error. */
  | { readonly over: string }
