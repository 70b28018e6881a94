import type { Hub } from '../hub/hub.ts'
import type { Entry } from '../log/log.ts'
import type { Grant } from './authorize.ts'
import { sha256 } from './credentials.ts'

const PREFIX = '$revoked/'
/** So many are kept for good. Of more, those are let go that the longest time a token may have left has made needless. */
const MAX_KEPT = 10_000

/** What is revoked: one token by its `jti`, or all that a `sub` was given until now. */
export type Revoked = { readonly jti: string } | { readonly sub: string }

type Kept = Revoked & { readonly at: number }

/** Tokens that are taken back before their time: kept in the log, one topic each, so that a restart or another node knows them. */
export class Revocations {
  readonly #hub: Hub
  readonly #maxTokenMs: number
  readonly #isEndless: (sub: string) => boolean
  readonly #tokens = new Map<string, number>()
  readonly #subjects = new Map<string, number>()
  #known: Promise<void> | undefined
  /** Called with everything that is revoked from now on. */
  onRevoked: () => void = () => {}

  /** @param isEndless whether what a subject has ends by itself only when its key goes */
  constructor(hub: Hub, maxTokenMs: number, isEndless: (sub: string) => boolean) {
    this.#hub = hub
    this.#maxTokenMs = maxTokenMs
    this.#isEndless = isEndless
  }

  /** Resolves when it is in the log. */
  async revoke(revoked: Revoked): Promise<void> {
    const kept: Kept = { ...revoked, at: Date.now() }
    await this.#learn()
    await this.#hub.internal.publish(`${PREFIX}${await nameOf(revoked)}`, JSON.stringify(kept))
    await this.#forget()
  }

  async isRevoked({ id, subject, issuedAt = 0 }: Grant): Promise<boolean> {
    await this.#learn()
    const bySubject = subject === undefined ? undefined : this.#subjects.get(subject)
    return (id !== undefined && this.#tokens.has(id)) || (bySubject !== undefined && issuedAt <= bySubject)
  }

  /** Reads what the log has, once, and follows it. */
  #learn(): Promise<void> {
    this.#known ??= this.#hub.internal.observe(PREFIX, (entry) => this.#note(entry))
    this.#known.catch(() => {
      this.#known = undefined
    })
    return this.#known
  }

  #note({ data }: Entry): void {
    const kept = JSON.parse(data!) as Kept
    const [all, name] = 'jti' in kept ? [this.#tokens, kept.jti] : [this.#subjects, kept.sub]
    all.set(name, Math.max(kept.at, all.get(name) ?? 0)) // nodes' clocks differ
    this.onRevoked()
  }

  async #forget(): Promise<void> {
    const tooMany = this.#tokens.size + this.#subjects.size - MAX_KEPT
    if (tooMany <= 0) return
    const needless = Date.now() - this.#maxTokenMs - 60_000
    const all: Kept[] = [
      ...Array.from(this.#tokens, ([jti, at]) => ({ jti, at })),
      ...Array.from(this.#subjects, ([sub, at]) => ({ sub, at })).filter(({ sub }) => !this.#isEndless(sub)),
    ]
    const oldest = all.filter(({ at }) => at < needless).sort((one, other) => one.at - other.at)
    for (const kept of oldest.slice(0, tooMany)) {
      if ('jti' in kept) this.#tokens.delete(kept.jti)
      else this.#subjects.delete(kept.sub)
      await this.#hub.internal.forget(`${PREFIX}${await nameOf(kept)}`)
    }
  }
}

/** Any text as a segment of a topic. */
async function nameOf(revoked: Revoked): Promise<string> {
  return 'jti' in revoked ? `jti/${await sha256(revoked.jti)}` : `sub/${await sha256(revoked.sub)}`
}
