import { AppError } from '../../errors.ts'

/**
 * The few calls of a Redis or Valkey client that the log makes; an adapter connects one. Whoever is not connected rejects at once: what
 * waits, and for how long, is decided here.
 */
export interface Redis {
  /** Sends a command on the connection that all share. */
  send(command: readonly string[]): Promise<unknown>
  /** Sends one that waits, on a connection of its own. */
  wait(command: readonly string[]): Promise<unknown>
  /** Calls when the shared connection can be used, now and whenever it is there again. */
  onConnected(listener: () => void): void
  /** Whether it can. */
  readonly isConnected: boolean
  close(): Promise<void>
}

/** Longest time to wait for an answer; a publish is told within 5 s that it is not known what became of it. */
const PATIENCE_MS = 4000

/** Between attempts while the server is away. */
export const RETRY_MS = 200

/** Scripts, named by their digest once the server has them. */
export class Engine {
  readonly redis: Redis
  readonly #base: string
  readonly #digests = new Map<string, string>()
  /** Since an answer did not come, until one does: nobody else waits so long for the same. */
  #isSilent = false
  #isClosed = false

  /** @param base what all keys begin with; it has the hash tag */
  constructor(redis: Redis, base: string) {
    this.redis = redis
    this.#base = base
  }

  /** @throws AppError `log_unavailable` (nothing was sent) and what the client or the script answers with */
  async run(script: string, ...values: readonly (string | number)[]): Promise<unknown> {
    if (!this.redis.isConnected || this.#isSilent) throw away()
    const rest = ['1', this.#base, ...values.map(String)]
    const digest = this.#digests.get(script) ?? (await sha1(script))
    this.#digests.set(script, digest)
    try {
      return await this.#answer(this.redis.send(['EVALSHA', digest, ...rest]))
    } catch (error) {
      if (!says(error, 'NOSCRIPT')) throw error
      return this.#answer(this.redis.send(['EVAL', script, ...rest]))
    }
  }

  /** Sends a command that is no script, within the same patience. */
  send(command: readonly string[]): Promise<unknown> {
    return this.#answer(this.redis.send(command))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.redis.close()
  }

  /** Asks whether the server answers. @throws what keeps it from that */
  async ping(): Promise<void> {
    await this.#answer(this.redis.send(['PING']))
    this.#isSilent = false
  }

  /** Refuses what is asked until the server answers again. A connection that was cut off may come to life by itself, untold. */
  async #untilAnswered(): Promise<void> {
    this.#isSilent = true
    while (this.#isSilent && !this.#isClosed) {
      await pause(RETRY_MS)
      await this.ping().catch(() => {})
    }
  }

  async #answer<T>(answer: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        if (!this.#isSilent) void this.#untilAnswered()
        reject(new Error(`Redis did not answer within ${PATIENCE_MS} ms`))
      }, PATIENCE_MS)
    })
    try {
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The log cannot be used now, and nothing was done: its server does not answer, or says with one of its words why it will not. */
export function away(cause?: unknown): AppError {
  const why = isReply(cause) ? `answers ${/^[A-Z]+/.exec(cause.message)![0]}` : 'is away'
  return new AppError('log_unavailable', `Cannot use the log now: its server ${why}; try again in a moment`, {
    cause,
    retryAfterS: 2,
  })
}

/** Whether the server refused with this word. */
export function says(error: unknown, ...words: readonly string[]): boolean {
  return error instanceof Error && words.some((word) => error.message.startsWith(`${word} `))
}

/** Whether the server refused to do any of what was asked, and may do it later. */
export function refusesForNow(error: unknown): boolean {
  const inCluster = says(error, 'CLUSTERDOWN', 'MOVED', 'ASK', 'TRYAGAIN')
  return inCluster || says(error, 'LOADING', 'MASTERDOWN', 'READONLY', 'NOREPLICAS', 'MISCONF', 'OOM', 'BUSY')
}

/** Whether this was said by the server, and not by what should bring it: its errors begin with a word in capitals. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && /^[A-Z]{2,} /.test(error.message)
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
