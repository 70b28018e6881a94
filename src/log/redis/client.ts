/**
 * The calls of a Redis or Valkey client that the log makes; an adapter opens the connections. Without a connection a call MUST reject
 * at once: the log decides which calls are repeated, and for how long.
 */
export interface RedisClient {
  /** Sends a command on the shared connection. */
  send(command: readonly string[]): Promise<unknown>
  /** Sends a blocking command, on a connection of its own. */
  wait(command: readonly string[]): Promise<unknown>
  /** Calls the listener whenever the shared connection has been established again. */
  onConnected(listener: () => void): void
  /** Whether the shared connection is established. */
  readonly isConnected: boolean
  close(): Promise<void>
}
