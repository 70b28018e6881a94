import type { Durability } from '../log.ts'

/** What a server reports about itself. */
export interface ServerInfo {
  /** Names the server's process. A different id means that the server was restarted or replaced by another. */
  readonly runId: string
  readonly durability: Durability
  /** Whether a restart keeps everything that was acknowledged. Evictions do not count: scripts notice evicted keys. */
  readonly isSynced: boolean
  /** The `maxmemory-policy` if it allows eviction; undefined if it does not, or if the server does not report it. */
  readonly evictionPolicy: string | undefined
}

type Send = (command: readonly string[]) => Promise<unknown>

/**
 * Reads from the server's configuration what a reply of the server proves, and never claims more
 * (https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/):
 *
 * - `disk`: an append-only file that is synced for every write, also while it is rewritten
 * - `process`: an append-only file that is written before each reply. `everysec` is not enough: while a sync is under way, Redis puts off
 *   even the write, for up to 2 s
 * - `memory`: anything else, any server that may evict entries, and any whose configuration may not be read
 *
 * Replicas prove nothing, because they are written to later.
 */
export async function inspectServer(send: Send): Promise<ServerInfo> {
  const info = String(await send(['INFO', 'server', 'persistence', 'memory']))
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const policy = field('maxmemory_policy')
  const persistence = await persistenceOf(field, send)
  return {
    runId: field('run_id'),
    durability: policy === 'noeviction' ? persistence : 'memory',
    isSynced: persistence === 'disk',
    evictionPolicy: policy === '' || policy === 'noeviction' ? undefined : policy,
  }
}

/** What the server's persistence proves, without regard to evictions. */
async function persistenceOf(field: (name: string) => string, send: Send): Promise<Durability> {
  if (field('aof_enabled') !== '1' || field('aof_last_write_status') === 'err') return 'memory'
  const settingOf = async (name: string) => {
    const reply = await send(['CONFIG', 'GET', name]).catch(() => []) // the user may lack this permission
    return Array.isArray(reply) ? reply[1] : undefined
  }
  const appendfsync = await settingOf('appendfsync')
  if (appendfsync !== 'always') return appendfsync === 'no' ? 'process' : 'memory'
  return (await settingOf('no-appendfsync-on-rewrite')) === 'no' ? 'disk' : 'process'
}
