import type { Hub } from '../hub/hub.ts'
import { INSIDE } from '../hub/inside.ts'
import type { Entry } from '../log/log.ts'
import type { Grant } from './authorize.ts'
import { sha256 } from './credentials.ts'
import { isOfApiKey } from './owner.ts'

const PREFIX = '$revoked/'
/** This many revocations are always kept. Beyond that the oldest go, once no token that they revoke can still be valid; those of present API keys stay. */
const MAX_KEPT = 10_000

/** One token by its `jti`, all tokens issued to a `sub` until now, or the API keys of a name. Equal names of two kinds are not related. */
export type Revoked = { readonly jti: string } | { readonly sub: string } | { readonly key: string }

type Revocation = Revoked & { readonly at: number }

/** Revoked tokens and API keys. The log keeps each revocation in a topic of its own, for other nodes and for restarts. */
export class Revocations {
  readonly #hub: Hub
  readonly #maxTokenMs: number
  readonly #isKey: (name: string) => boolean
  /** Revocations by `nameOf`. */
  readonly #all = new Map<string, Revocation>()
  #loading: Promise<void> | undefined
  /** Called after each revocation, with its name as in `revocableNames`; also for each revocation that is loaded from the log. */
  onRevoked: (name: string) => void = () => {}

  /** @param isKey whether an API key of a name exists. The revocation of an existing key is never deleted */
  constructor(hub: Hub, maxTokenMs: number, isKey: (name: string) => boolean) {
    this.#hub = hub
    this.#maxTokenMs = maxTokenMs
    this.#isKey = isKey
  }

  /** Resolves when the log has the revocation. */
  async revoke(revoked: Revoked): Promise<void> {
    const revocation: Revocation = { ...revoked, at: Date.now() }
    await this.#load()
    await this.#hub[INSIDE].topics.publish(`${PREFIX}${await segmentsOf(revoked)}`, JSON.stringify(revocation))
    await this.#prune()
  }

  /**
   * Returns why the credentials of a grant are refused; undefined if they are not revoked. Once a `sub` is revoked, its tokens need an
   * `iat`: without an `iat`, the hub cannot know whether a token was issued before the revocation.
   */
  async reasonFor(grant: Grant): Promise<string | undefined> {
    await this.#load()
    return this.knownReasonFor(grant)
  }

  /** Like `reasonFor`, but synchronous: considers only the revocations that have been loaded. */
  knownReasonFor(grant: Grant): string | undefined {
    for (const name of revocableNames(grant)) {
      const revocation = this.#all.get(name)
      if (!revocation) continue
      if (!('sub' in revocation)) return 'it has been revoked'
      if (grant.issuedAt === undefined)
        return 'its sub was revoked, and without iat it may be older than that; issue tokens with iat'
      if (grant.issuedAt <= revocation.at) return 'it has been revoked'
    }
    return
  }

  /** Loads the revocations of the log, once, and follows the log. */
  #load(): Promise<void> {
    this.#loading ??= this.#hub[INSIDE].topics.observe(PREFIX, (entry) => this.#add(entry))
    this.#loading.catch(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  #add({ data }: Entry): void {
    const revocation = JSON.parse(data!) as Revocation
    const name = nameOf(revocation)
    const at = Math.max(revocation.at, this.#all.get(name)?.at ?? 0) // the clocks of nodes differ: the latest time counts
    this.#all.set(name, { ...revocation, at })
    this.onRevoked(name)
  }

  async #prune(): Promise<void> {
    const excess = this.#all.size - MAX_KEPT
    if (excess <= 0) return
    const allExpiredBefore = Date.now() - this.#maxTokenMs - 60_000
    const oldest = [...this.#all.values()]
      .filter((revocation) => revocation.at < allExpiredBefore && !('key' in revocation && this.#isKey(revocation.key)))
      .sort((one, other) => one.at - other.at)
    for (const revocation of oldest.slice(0, excess)) {
      this.#all.delete(nameOf(revocation))
      await this.#hub[INSIDE].topics.forget(`${PREFIX}${await segmentsOf(revocation)}`)
    }
  }
}

/** Returns the names under which the credentials of a grant can be revoked, in the form of `nameOf`. */
export function revocableNames(grant: Grant): readonly string[] {
  const { id, subject } = grant
  if (isOfApiKey(grant)) return [nameOf({ key: subject! })]
  const names: string[] = []
  if (id !== undefined) names.push(nameOf({ jti: id }))
  if (subject !== undefined) names.push(nameOf({ sub: subject }))
  return names
}

/** Returns a name for the token, the `sub` or the API key that is revoked. */
function nameOf(revoked: Revoked): string {
  return partsOf(revoked).join(' ')
}

/** Returns the topic segments that name a revocation. The name is hashed, because segments cannot hold any text. */
async function segmentsOf(revoked: Revoked): Promise<string> {
  const [kind, name] = partsOf(revoked)
  return `${kind}/${await sha256(name)}`
}

function partsOf(revoked: Revoked): readonly [kind: 'jti' | 'sub' | 'key', name: string] {
  if ('jti' in revoked) return ['jti', revoked.jti]
  return 'sub' in revoked ? ['sub', revoked.sub] : ['key', revoked.key]
}
