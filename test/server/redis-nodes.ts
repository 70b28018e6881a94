import { test as base, expect, vi } from 'vitest'
import { openRedis } from '../../src/adapters/redis.ts'
import type { Entry, Log, LogOptions } from '../../src/log/log.ts'
import { type RedisServer, redisServer } from './redis.ts'
import { freePort } from './server.ts'

/** The log of one process of many, and what it has reported to its follower. */
export interface Node {
  readonly log: Log
  readonly got: Entry[]
  readonly restarts: { readonly epoch: string; readonly head: number }[]
}

/** The Redis servers of one test, and the logs that the processes of the test have opened on them. */
export class Nodes {
  readonly #servers: RedisServer[] = []
  readonly #logs: Log[] = []

  readonly serve = async (...given: Parameters<typeof redisServer>): Promise<RedisServer> => {
    const server = await redisServer(...given)
    this.#servers.push(server)
    return server
  }

  /** Opens a log, which is closed at the end of the test. */
  readonly open = async (url: string, options?: Partial<LogOptions>): Promise<Log> => {
    const log = await openRedis(url, options)
    this.#logs.push(log)
    return log
  }

  /** Opens a log and follows it. */
  readonly join = async (at: RedisServer | string, options?: Partial<LogOptions>): Promise<Node> => {
    const log = await this.open(typeof at === 'string' ? at : at.url(), options)
    const node: Node = { log, got: [], restarts: [] }
    await log.follow(
      (entries) => node.got.push(...entries),
      () => {},
      (head) => node.restarts.push({ epoch: log.epoch, head }),
    )
    return node
  }

  /** Starts servers that share the slots of one cluster. */
  readonly cluster = async (count: number, settings: Record<string, string>): Promise<RedisServer[]> => {
    const nodes: RedisServer[] = []
    // By default cluster nodes talk on a port 10000 higher, which may be out of range.
    const bus: number[] = []
    for (let i = 0; i < count; i++) {
      bus.push(await freePort())
      nodes.push(await this.serve({ ...settings, 'cluster-enabled': 'yes', 'cluster-port': `${bus[i]}` }))
    }
    for (const [i, node] of nodes.entries()) {
      const [from, to] = [i, i + 1].map((n) => Math.floor((n * 16384) / count))
      await node.command(['CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to! - 1}`])
      await node.command(['CLUSTER', 'MEET', '127.0.0.1', `${nodes[0]!.port}`, `${bus[0]}`])
    }
    const states = () => Promise.all(nodes.map((node) => node.command(['CLUSTER', 'INFO'])))
    const isUp = async () => (await states()).every((info) => String(info).includes('cluster_state:ok'))
    await vi.waitFor(async () => expect(await isUp()).toBe(true), 20_000)
    return nodes
  }

  readonly close = async (): Promise<void> => {
    await Promise.all(this.#logs.splice(0).map((log) => log.close()))
    await Promise.all(this.#servers.splice(0).map((server) => server.kill()))
  }
}

/** A test with servers and logs of its own, so that such tests can run at the same time. */
export const test = base.extend('nodes', ({ task: _ }, { onCleanup }) => {
  const nodes = new Nodes()
  onCleanup(nodes.close)
  return nodes
})
