import type { Durability } from '../log.ts'

/** What a server says of itself. */
export interface Server {
  /** Names its process: another one means that it was started again, or that another took its place. */
  readonly run: string
  readonly durability: Durability
  /** Whether all that was acknowledged is there when the server is started again, unless it was evicted: which is noticed by itself. */
  readonly isSynced: boolean
  /** The policy by which it may evict what it holds; missing where it evicts nothing, and where it does not say. */
  readonly evicts: string | undefined
}

/**
 * Reads from the server what an answer of it proves, and never more (https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/):
 * `disk` with an append-only file that is synced always, also while it is rewritten; `process` with one that is written before each
 * answer; else `memory`, also with a file if it may evict entries. With `everysec` Redis puts off even the write, for up to 2 s, while a sync is under way. What it may not be asked
 * is not proved. Replicas prove nothing, because they are written to later.
 */
export async function inspect(ask: (command: readonly string[]) => Promise<unknown>): Promise<Server> {
  const info = String(await ask(['INFO', 'server', 'persistence', 'memory']))
  const told = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const run = told('run_id')
  const policy = told('maxmemory_policy')
  const evicts = policy === '' || policy === 'noeviction' ? undefined : policy
  const persistence = await persistenceOf(told, ask)
  const durability = policy === 'noeviction' ? persistence : 'memory'
  return { run, durability, isSynced: persistence === 'disk', evicts }
}

/** What survives the server's process or machine. */
async function persistenceOf(
  told: (name: string) => string,
  ask: (command: readonly string[]) => Promise<unknown>,
): Promise<Durability> {
  if (told('aof_enabled') !== '1' || told('aof_last_write_status') === 'err') return 'memory'
  const settingOf = async (name: string) => {
    const answer = await ask(['CONFIG', 'GET', name]).catch(() => [])
    return Array.isArray(answer) ? answer[1] : undefined
  }
  const syncs = await settingOf('appendfsync')
  if (syncs !== 'always') return syncs === 'no' ? 'process' : 'memory'
  return (await settingOf('no-appendfsync-on-rewrite')) === 'no' ? 'disk' : 'process'
}
