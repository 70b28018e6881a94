import type { Durability } from '../log.ts'
import type { Redis } from './engine.ts'

/** What a server says of itself. */
export interface Server {
  /** Names its process: another one means that it was started again, or that another took its place. */
  readonly run: string
  readonly durability: Durability
}

/**
 * Reads from the server what an answer of it proves, and never more: with an append-only file that is synced always it is `disk`,
 * with one that is not `process`, and without one `memory`. Where it may not be asked how it syncs, that counts as not always.
 * Replicas prove nothing, because they are written to later.
 */
export async function inspect(redis: Redis): Promise<Server> {
  const info = String(await redis.send(['INFO', 'server', 'persistence']))
  const told = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const run = told('run_id')
  if (told('aof_enabled') !== '1' || told('aof_last_write_status') === 'err') return { run, durability: 'memory' }
  const syncs = await redis.send(['CONFIG', 'GET', 'appendfsync']).catch(() => [])
  return { run, durability: Array.isArray(syncs) && syncs[1] === 'always' ? 'disk' : 'process' }
}
