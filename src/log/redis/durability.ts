import type { Durability } from '../log.ts'

/** What a server says of itself. */
export interface Server {
  /** Names its process: another one means that it was started again, or that another took its place. */
  readonly run: string
  readonly durability: Durability
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
  const isKept = policy === 'noeviction' && told('aof_enabled') === '1' && told('aof_last_write_status') !== 'err'
  if (!isKept) return { run, durability: 'memory', evicts }
  const settingOf = async (name: string) => {
    const answer = await ask(['CONFIG', 'GET', name]).catch(() => [])
    return Array.isArray(answer) ? answer[1] : undefined
  }
  const syncs = await settingOf('appendfsync')
  if (syncs !== 'always') return { run, durability: syncs === 'no' ? 'process' : 'memory', evicts }
  return { run, durability: (await settingOf('no-appendfsync-on-rewrite')) === 'no' ? 'disk' : 'process', evicts }
}
