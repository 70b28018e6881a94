import { join } from 'node:path'
import { type RedisServer, redisServer } from '../../server/redis.ts'
import { cleanUp, folder, freePort, type Server, start } from '../../server/server.ts'

interface Node {
  readonly env: Record<string, string>
  readonly url: string
  up: Promise<Server>
}

/** A time without one of the nodes, by `performance.now()`. */
export interface Outage {
  readonly from: number
  readonly to: number
}

/** A hub in processes of its own, which can be killed and come back at their ports. */
export class HubProcesses {
  readonly #nodes: readonly Node[]
  readonly outages: Outage[] = []
  readonly #redis: RedisServer | undefined

  private constructor(nodes: readonly Node[], redis?: RedisServer) {
    this.#nodes = nodes
    this.#redis = redis
  }

  /** One process, whose log is in an SQLite file. */
  static async onSqlite(): Promise<HubProcesses> {
    return new HubProcesses([await started({ LOG: `sqlite:${join(folder(), 'hub.db')}` })])
  }

  /** Two nodes that share a log in Redis. */
  static async onRedis(): Promise<HubProcesses> {
    const redis = await redisServer()
    return new HubProcesses([await started({ LOG: redis.url() }), await started({ LOG: redis.url() })], redis)
  }

  get urls(): readonly string[] {
    return this.#nodes.map(({ url }) => url)
  }

  /** Any node that is up. @param turn chooses the node */
  any(turn: number): Promise<Server> {
    return this.#nodes[turn % this.#nodes.length]!.up
  }

  /** Kills a node, and resolves once it is up again. */
  async kill(turn: number): Promise<void> {
    const node = this.#nodes[turn % this.#nodes.length]!
    const server = await node.up
    const from = performance.now()
    node.up = server.kill('SIGKILL').then(() => start(node.env))
    await node.up
    this.outages.push({ from, to: performance.now() })
  }

  async end(): Promise<void> {
    await cleanUp()
    await this.#redis?.kill()
  }
}

async function started(settings: Record<string, string>): Promise<Node> {
  const port = await freePort()
  const env = { ...settings, PORT: `${port}`, PUBLISH_RATE: '1000000', RETENTION_COUNT: '10000000' }
  return { env, url: `http://127.0.0.1:${port}`, up: Promise.resolve(await start(env)) }
}
