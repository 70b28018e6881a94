import { AppError } from '../../errors.ts'
import { newEpoch } from '../log.ts'
import type { Warnings } from '../warnings.ts'
import type { RedisClient } from './client.ts'
import { closedError, hasCode, replacedError, unavailableError } from './errors.ts'
import { open } from './lua/open.ts'
import { pause, RETRY_MS } from './pause.ts'
import type { Scripts } from './scripts.ts'
import { inspectServer, type ServerInfo } from './server.ts'

/** The log that the server holds, as `open` replies. */
export interface OpenedLog {
  readonly epoch: string
  /** Second part of the stream ids of this epoch's entries. */
  readonly tag: number
  readonly head: number
  /** Number of erasures so far, and the id of the last element of `:erased`. */
  readonly erasureCount: number
  readonly lastErasedId: string
  /** Id of the last element of `:wire`. */
  readonly lastWireId: string
}

/** What `Identity` asks of the rest of the log, and reports to it. */
export interface IdentityHooks {
  /** Returns the newest delivered seq. A log of the same epoch that ends before this seq has lost entries. */
  deliveredTo(): number
  /** Called, and awaited, after each successful verification. */
  verified(): Promise<void>
  /** Called when the epoch has changed, and when the first epoch is known. */
  replaced(log: OpenedLog): void
}

/**
 * Knows which log the server holds. An epoch is trusted as long as the connection lasts. A reconnect may lead to another server, or to one
 * that lost entries, so scripts are refused after a reconnect until `open` has returned the epoch.
 */
export class Identity {
  readonly #client: RedisClient
  readonly #scripts: Scripts
  readonly #warnings: Warnings
  readonly #hooks: IdentityHooks
  /** See `LogOptions.newEpoch`; empty for none. */
  readonly #newEpochText: string
  #server: ServerInfo = { runId: '', durability: 'memory', isSynced: false, evictionPolicy: undefined }
  #epoch = ''
  #tag = 0
  #isVerified = false
  #verification: Promise<void> | undefined
  #isClosed = false

  constructor(client: RedisClient, scripts: Scripts, warnings: Warnings, newEpochText: string, hooks: IdentityHooks) {
    this.#client = client
    this.#scripts = scripts
    this.#warnings = warnings
    this.#newEpochText = newEpochText
    this.#hooks = hooks
  }

  get epoch(): string {
    return this.#epoch
  }

  get tag(): number {
    return this.#tag
  }

  get durability() {
    return this.#server.durability
  }

  /** Whether the server has confirmed, on this connection, that it holds the log of `epoch`. */
  get isVerified(): boolean {
    return this.#isVerified
  }

  /** The verification under way, if there is one. */
  get verification(): Promise<void> | undefined {
    return this.#verification
  }

  /** Opens the log, and verifies it again after each reconnect. */
  async open(): Promise<void> {
    await this.verify()
    this.#client.onConnected(() => void this.#verifyAgain())
  }

  /** Asks the server which log it holds, and repairs a damaged log. A call during a verification waits for that verification. */
  verify(): Promise<void> {
    this.#verification ??= this.#verify().finally(() => {
      this.#verification = undefined
    })
    return this.#verification
  }

  /**
   * Runs a script on the log of this epoch.
   *
   * @throws AppError `log_unavailable` if the server holds another log. Nothing was changed, and the other log has been verified
   */
  async run(script: string, ...args: readonly (string | number)[]): Promise<unknown> {
    if (this.#isClosed) throw closedError()
    await this.#verification?.catch(() => {}) // the caller that started the verification handles its failure
    if (!this.#isVerified) throw unavailableError()
    try {
      return await this.#scripts.run(script, this.#epoch, ...args)
    } catch (error) {
      if (!hasCode(error, 'LOST', 'REWOUND')) throw error
      await this.verify()
      throw replacedError(error)
    }
  }

  /** Reads the server's durability again: an operator may change it while the server runs. */
  async refreshServer(): Promise<void> {
    const server = await this.#inspect()
    // If the server was restarted, the next verification stores its configuration.
    if (server.runId === this.#server.runId) this.#setServer(server)
  }

  /** Refuses all further scripts. */
  close(): void {
    this.#isClosed = true
  }

  async #verifyAgain(): Promise<void> {
    this.#isVerified = false
    while (!this.#isVerified && !this.#isClosed && this.#client.isConnected)
      await this.verify().catch(() => pause(RETRY_MS))
  }

  async #verify(): Promise<void> {
    await this.#scripts.ping().catch((cause) => {
      throw unavailableError(cause)
    })
    const server = await this.#inspect()
    const log = await this.#openOn(server)
    this.#setServer(server)
    this.#isVerified = true
    await this.#hooks.verified()
    if (log.epoch === this.#epoch) return
    this.#epoch = log.epoch
    this.#tag = log.tag
    this.#hooks.replaced(log)
  }

  /** @throws AppError `log_unusable` if a newer release wrote the log */
  async #openOn(server: ServerInfo): Promise<OpenedLog> {
    const freshTag = crypto.getRandomValues(new Uint32Array(1))[0]!
    const known = [this.#epoch, this.#server.runId, this.#hooks.deliveredTo()]
    const found = [server.runId, server.isSynced ? 1 : 0, this.#newEpochText]
    const reply = await this.#scripts.run(open, ...known, newEpoch(), freshTag, ...found).catch((cause) => {
      if (!hasCode(cause, 'VERSION')) throw cause
      throw new AppError('log_unusable', 'Cannot use the log: a newer release wrote it; use a newer release', { cause })
    })
    const [epoch, tag, head, lastErasedId, erasureCount, lastWireId] = reply as [
      ...[string, number, number, string, number, string],
    ]
    return { epoch, tag, head, lastErasedId, erasureCount, lastWireId }
  }

  #inspect(): Promise<ServerInfo> {
    return inspectServer((command) => this.#scripts.send(command))
  }

  #setServer(server: ServerInfo): void {
    this.#server = server
    const { evictionPolicy } = server
    this.#warnings.set(
      'eviction',
      evictionPolicy &&
        `Redis may evict entries of the log: its maxmemory-policy is ${evictionPolicy}; set it to noeviction`,
    )
  }
}
