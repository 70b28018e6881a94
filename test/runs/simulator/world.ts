import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createApp } from '../../../src/app.ts'
import { Hub } from '../../../src/hub/hub.ts'
import type { Sql } from '../../../src/log/database.ts'
import type { Log } from '../../../src/log/log.ts'
import { memoryLog } from '../../../src/log/memory.ts'
import { sqlLog } from '../../../src/log/sql.ts'
import { runs } from '../../../src/runs/near.ts'
import { remoteRuns } from '../../../src/runs/remote.ts'
import type { Runs } from '../../../src/runs/run.ts'
import type { Random } from '../../server/random.ts'
import { folderInMemory } from '../../server/server.ts'
import { FailingSql } from '../../server/sql.ts'
import type { Model } from './model.ts'
import { sleep } from './virtual-time.ts'

/** How the programs of a world reach its hub, and where its log is. */
export interface Kind {
  readonly isOnDisk: boolean
  readonly isRemote: boolean
}

/** A hub, until its process dies. */
export interface Home {
  readonly hub: Hub
  readonly log: Log
  readonly runs: Runs
  /** Aborts when the process of the hub has died: programs in the same process die with it. */
  readonly death: AbortSignal
  readonly die: (isKilled: boolean) => Promise<void>
}

/** Part of the requests of a bad wire that are lost, and part of the answers. */
const LOST = 0.02

/** A hub that can die and be started again, and whose disk can fail. */
export class World {
  readonly kind: Kind
  readonly #model: Model
  readonly #random: Random
  readonly #folder: string | undefined
  readonly #sql: FailingSql | undefined
  /** The home, or the one that is being started. */
  home: Promise<Home>
  /** Programs reach a remote hub through this object, whichever process serves. */
  readonly #remote: Runs

  constructor(kind: Kind, model: Model, random: Random) {
    this.kind = kind
    this.#model = model
    this.#random = random
    if (kind.isOnDisk) {
      this.#folder = folderInMemory()
      this.#sql = new FailingSql(join(this.#folder, 'hub.db'))
    }
    this.home = this.#open()
    this.#remote = remoteRuns({ url: 'http://localhost', fetch: (url, init) => this.#request(url, init) })
  }

  /** Kills the process of the hub, or ends it, and starts another one after a while. */
  async restart(isKilled: boolean, downMs: number): Promise<void> {
    const home = await this.home
    const ended = this.#model.outage(true)
    this.home = home
      .die(isKilled)
      .then(() => sleep(downMs))
      .then(() => this.#open())
    await this.home
    ended()
  }

  /** Makes commits fail for a while. */
  async fail(fault: 'at a statement' | 'at the commit' | 'after commit', at: number, ms: number): Promise<void> {
    const ended = this.#model.outage(false)
    await this.#sql!.failing(fault, at, () => sleep(ms))
    ended()
  }

  async end(): Promise<void> {
    await (await this.home).die(false)
    if (this.#folder) rmSync(this.#folder, { recursive: true })
  }

  async #open(): Promise<Home> {
    const plug = { isPulled: false }
    const death = new AbortController()
    const retention = { count: 1_000_000, bytes: 1e9 }
    const log = this.#sql
      ? sqlLog(unplugged(this.#sql.open(), plug), { durability: 'disk', home: 'the simulator', retention })
      : memoryLog({ retention })
    const watched = await this.#model.watch(log)
    const hub = new Hub(() => watched)
    const die = async (isKilled: boolean) => {
      plug.isPulled = isKilled
      death.abort()
      await hub.close()
    }
    const near = runs(hub)
    return { hub, log, death: death.signal, die, runs: this.kind.isRemote ? this.#remote : near }
  }

  /** A request over a wire that is slow and loses some. */
  async #request(url: string, init: RequestInit): Promise<Response> {
    const random = this.#random
    await sleep(random.whole(0, 10))
    const { hub, death } = await this.home
    if (death.aborted || random() < LOST) throw new TypeError('the request was lost')
    const app = (this.#apps.get(hub) ?? this.#apps.set(hub, createApp({ hub })).get(hub))!
    const answer = await Promise.race([app.request(url, init), lostAt(death)])
    const text = await answer.text()
    await sleep(random.whole(0, 10))
    if (random() < LOST) throw new TypeError('the answer was lost')
    return new Response(answer.status === 204 ? null : text, answer)
  }
  readonly #apps = new WeakMap<Hub, ReturnType<typeof createApp>>()
}

function lostAt(death: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    death.addEventListener('abort', () => reject(new TypeError('the hub died')))
  })
}

/** A database that does nothing any more once its process was killed. */
function unplugged(sql: Sql, plug: { readonly isPulled: boolean }): Sql {
  sql.exec('PRAGMA synchronous = OFF') // a killed process loses nothing that it has written
  const live =
    <A extends readonly unknown[], T>(act: (...given: A) => T) =>
    (...given: A): T => {
      if (plug.isPulled) throw new Error('the process was killed')
      return act(...given)
    }
  const close = sql.close.bind(sql)
  return { exec: live(sql.exec), all: live(sql.all), transaction: live(sql.transaction), close }
}
