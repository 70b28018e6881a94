import type { Hub } from '../hub/hub.ts'
import type { Entry } from '../log/log.ts'
import type { Grant } from './authorize.ts'
import { sha256 } from './credentials.ts'

const PREFIX = '$revoked/'

/** What is revoked: one token by its `jti`, or all that a `sub` was given until now. */
export type Revoked = { readonly jti: string } | { readonly sub: string }

type Kept = Revoked & { readonly at: number }

/** Tokens that are taken back before their time: kept in the log, one topic each, so that a restart or another node knows them. */
export class Revocations {
  readonly #hub: Hub
  readonly #maxTokenMs: number
  readonly #tokens = new Map<string, number>()
  readonly #subjects = new Map<string, number>()
  #known: Promise<void> | undefined
  /** Called with everything that is revoked from now on. */
  onRevoked: () => void = () => {}

  constructor(hub: Hub, maxTokenMs: number) {
    this.#hub = hub
    this.#maxTokenMs = maxTokenMs
  }

  /** Resolves when it is in the log. */
  async revoke(revoked: Revoked): Promise<void> {
    const kept: Kept = { ...revoked, at: Date.now() }
    await this.#learn()
    await this.#hub.own(`${PREFIX}${await nameOf(revoked)}`, JSON.stringify(kept))
    await this.#forget()
  }

  async isRevoked({ id, subject, issuedAt = 0 }: Grant): Promise<boolean> {
    await this.#learn()
    const bySubject = subject === undefined ? undefined : this.#subjects.get(subject)
    return (id !== undefined && this.#tokens.has(id)) || (bySubject !== undefined && issuedAt <= bySubject)
  }

  /** Reads what the log has, once, and follows it. */
  #learn(): Promise<void> {
    this.#known ??= this.#hub.observe(PREFIX, (entry) => this.#note(entry))
    this.#known.catch(() => {
      this.#known = undefined
    })
    return this.#known
  }

  #note({ data }: Entry): void {
    const kept = JSON.parse(data!) as Kept
    if ('jti' in kept) this.#tokens.set(kept.jti, kept.at)
    else this.#subjects.set(kept.sub, kept.at)
    this.onRevoked()
  }

  /** A token that is revoked has ended by itself after the longest time that one may have. */
  async #forget(): Promise<void> {
    const oldest = Date.now() - this.#maxTokenMs - 60_000
    for (const [kind, all] of [
      ['jti', this.#tokens],
      ['sub', this.#subjects],
    ] as const)
      for (const [name, at] of all) {
        if (at >= oldest) continue
        all.delete(name)
        await this.#hub.forget(`${PREFIX}${await nameOf(kind === 'jti' ? { jti: name } : { sub: name })}`)
      }
  }
}

/** Any text as a segment of a topic. */
async function nameOf(revoked: Revoked): Promise<string> {
  return 'jti' in revoked ? `jti/${await sha256(revoked.jti)}` : `sub/${await sha256(revoked.sub)}`
}
