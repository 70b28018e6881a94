import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type RedisServer, redisServer } from '../server/redis.ts'
import { folder, start } from '../server/server.ts'
import type { Target } from './load/drive.ts'

/** A running server of this bench. */
export interface Served extends Required<Target> {
  stop(): Promise<unknown>
}

export async function hub(settings: Record<string, string> = {}): Promise<Served> {
  const { url, serves, kill } = await start({ LOG: 'memory:', ...settings })
  return { url, pid: serves, stop: () => kill('SIGTERM') }
}

export function hubOnDisk(): Promise<Served> {
  return hub({ LOG: `sqlite:${folder()}/hub.db` })
}

/** The nodes of one hub, over a Redis that syncs before it answers. */
export interface Cluster {
  readonly nodes: readonly Served[]
  readonly redis: RedisServer
  stop(): Promise<unknown>
}

export async function cluster(count: number): Promise<Cluster> {
  const redis = await redisServer()
  const nodes: Served[] = []
  while (nodes.length < count) nodes.push(await hub({ LOG: redis.url() }))
  return { nodes, redis, stop: () => Promise.all(nodes.map((node) => node.stop())).then(redis.kill) }
}

/** Starts a yardstick, one of the files beside this one. */
export async function yardstick(name: 'plain' | 'bare'): Promise<Served> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  const [said] = await once(child.stdout.setEncoding('utf8'), 'data')
  const [, port] = /listens on (\d+)/.exec(said)!
  const stop = async () => {
    const gone = once(child, 'exit')
    process.off('exit', end)
    end()
    await gone
  }
  return { url: `http://127.0.0.1:${port}`, pid: child.pid!, stop }
}
