import type { Hub } from '../hub/hub.ts'
import type { Entry } from '../log/log.ts'
import type { Grant } from './authorize.ts'
import { sha256 } from './credentials.ts'

const PREFIX = '$revoked/'
/** This many revocations are always kept. More are deleted once every token that they concern has expired. */
const MAX_KEPT = 10_000

/** One token by its `jti`, or all credentials issued to a `sub` until now. */
export type Revoked = { readonly jti: string } | { readonly sub: string }

type Revocation = Revoked & { readonly at: number }

/** Revoked tokens. The log keeps each revocation in a topic of its own, for other nodes and for restarts. */
export class Revocations {
  readonly #hub: Hub
  readonly #maxTokenMs: number
  readonly #neverExpires: (sub: string) => boolean
  readonly #tokens = new Map<string, number>()
  readonly #subjects = new Map<string, number>()
  #loading: Promise<void> | undefined
  /** Called after each revocation, and for the existing ones when they are loaded. */
  onRevoked: () => void = () => {}

  /** @param neverExpires whether a subject's credentials last until their key is removed */
  constructor(hub: Hub, maxTokenMs: number, neverExpires: (sub: string) => boolean) {
    this.#hub = hub
    this.#maxTokenMs = maxTokenMs
    this.#neverExpires = neverExpires
  }

  /** Resolves when the log has the revocation. */
  async revoke(revoked: Revoked): Promise<void> {
    const revocation: Revocation = { ...revoked, at: Date.now() }
    await this.#load()
    await this.#hub.internal.publish(`${PREFIX}${await segmentsOf(revoked)}`, JSON.stringify(revocation))
    await this.#prune()
  }

  async isRevoked({ id, subject, issuedAt = 0 }: Grant): Promise<boolean> {
    await this.#load()
    const bySubject = subject === undefined ? undefined : this.#subjects.get(subject)
    return (id !== undefined && this.#tokens.has(id)) || (bySubject !== undefined && issuedAt <= bySubject)
  }

  /** Loads the revocations of the log, once, and follows the log. */
  #load(): Promise<void> {
    this.#loading ??= this.#hub.internal.observe(PREFIX, (entry) => this.#add(entry))
    this.#loading.catch(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  #add({ data }: Entry): void {
    const revocation = JSON.parse(data!) as Revocation
    const [all, name] = 'jti' in revocation ? [this.#tokens, revocation.jti] : [this.#subjects, revocation.sub]
    all.set(name, Math.max(revocation.at, all.get(name) ?? 0)) // the clocks of nodes differ
    this.onRevoked()
  }

  async #prune(): Promise<void> {
    const excess = this.#tokens.size + this.#subjects.size - MAX_KEPT
    if (excess <= 0) return
    const allExpiredBefore = Date.now() - this.#maxTokenMs - 60_000
    const all: Revocation[] = [
      ...Array.from(this.#tokens, ([jti, at]) => ({ jti, at })),
      ...Array.from(this.#subjects, ([sub, at]) => ({ sub, at })).filter(({ sub }) => !this.#neverExpires(sub)),
    ]
    const oldest = all.filter(({ at }) => at < allExpiredBefore).sort((one, other) => one.at - other.at)
    for (const revocation of oldest.slice(0, excess)) {
      if ('jti' in revocation) this.#tokens.delete(revocation.jti)
      else this.#subjects.delete(revocation.sub)
      await this.#hub.internal.forget(`${PREFIX}${await segmentsOf(revocation)}`)
    }
  }
}

/** Names a revocation by the segments of a topic, for which any text is hashed. */
async function segmentsOf(revoked: Revoked): Promise<string> {
  return 'jti' in revoked ? `jti/${await sha256(revoked.jti)}` : `sub/${await sha256(revoked.sub)}`
}
