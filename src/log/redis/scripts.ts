import type { RedisClient } from './client.ts'
import { hasCode, unavailableError } from './errors.ts'
import { pause, RETRY_MS } from './pause.ts'

/** Longest wait for a reply in ms. It lets a publish be answered within 5 s, with `outcome_unknown` if need be. */
const REPLY_TIMEOUT_MS = 4000

/** Runs a script with its arguments. */
export type RunScript = (script: string, ...args: readonly (string | number)[]) => Promise<unknown>

/** Runs Lua scripts and commands on the server, each with a timeout. */
export class Scripts {
  readonly #client: RedisClient
  readonly #base: string
  readonly #digests = new Map<string, string>()
  /** Set after a timeout, until the server replies to a PING. Until then scripts are refused at once instead of timing out one by one. */
  #isSilent = false
  #isClosed = false

  /** @param base prefix of all keys, which contains the hash tag */
  constructor(client: RedisClient, base: string) {
    this.#client = client
    this.#base = base
  }

  /** @throws AppError `log_unavailable` if nothing was sent, else what the client rejects with */
  async run(script: string, ...args: readonly (string | number)[]): Promise<unknown> {
    if (!this.#client.isConnected || this.#isSilent) throw unavailableError()
    const keysAndArgs = ['1', this.#base, ...args.map(String)]
    const digest = this.#digests.get(script) ?? (await sha1(script))
    this.#digests.set(script, digest)
    try {
      return await this.send(['EVALSHA', digest, ...keysAndArgs])
    } catch (error) {
      if (!hasCode(error, 'NOSCRIPT')) throw error
      return this.send(['EVAL', script, ...keysAndArgs])
    }
  }

  /** Sends a command. @throws what the client rejects with, or an error after the timeout */
  async send(command: readonly string[]): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        if (!this.#isSilent) void this.#awaitReply()
        reject(new Error(`Redis did not answer within ${REPLY_TIMEOUT_MS} ms`))
      }, REPLY_TIMEOUT_MS)
    })
    try {
      return await Promise.race([this.#client.send(command), timeout])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Resolves if the server replies. @throws what the client rejects with */
  async ping(): Promise<void> {
    await this.send(['PING'])
    this.#isSilent = false
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#client.close()
  }

  /** Pings until the server replies: a connection that was interrupted may work again without an event. */
  async #awaitReply(): Promise<void> {
    this.#isSilent = true
    while (this.#isSilent && !this.#isClosed) {
      await pause(RETRY_MS)
      await this.ping().catch(() => {}) // the next ping may be answered
    }
  }
}

/** The digest by which Redis names a script. */
async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
