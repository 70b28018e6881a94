import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { median, quantile } from '../../bench/quantile.ts'
import { runs } from '../../seed.ts'
import { deno, node, type Runtime } from '../../server/runtimes.ts'
import { fdsOf, folderInMemory, rssOf, type Server, start } from '../../server/server.ts'
import type { Calls } from './answers.ts'
import { type Aside, aside } from './aside.ts'
import type { Deaf } from './deaf.ts'
import type { Healthy } from './healthy.ts'

const MIB = 1024 ** 2
const QUIET_MS = runs(500, 5000)
/** A pause, so that the end of an attack does not count as quiet. */
const SETTLE_MS = runs(200, 2000)
const ROUNDS = runs(1, 5)
/**
 * Readers of a hub in use, which get a hundred events a second: 20,000 deliveries in the soak. With a single reader the p99 is a
 * millisecond and a half, so that any other work of a millisecond would count for more than the attack.
 */
const CROWD = runs(20, 200)
/** Deno's V8 cannot be made to collect. */
const maxMemory = (runtime: Runtime) => (runtime === deno ? 1.5 : 1.2)
const MAX_RETURN_MS = runs(10_000, 60_000)
/** Sockets of the publishers and checks beside the attack. */
const SPARE_FDS = 10

export const limits = { bodyMs: runs(2000, 10_000), streamMs: runs(4000, 12_000), stallMs: 2500, entries: 5000 }

/** A hub that holds little by itself, so that what an attack leaves behind shows. */
export const settings = {
  WINDOW_BYTES: '1MiB',
  RETENTION_BYTES: '2MiB',
  RETENTION_COUNT: `${limits.entries}`,
  STALL: `${limits.stallMs}ms`,
  BODY_TIMEOUT: `${limits.bodyMs}ms`,
  MAX_STREAM_TIME: `${limits.streamMs}ms`,
  HEARTBEAT: '5m', // so that heartbeats do not find readers that have gone
  LIFETIME: '1h',
  MALLOC_ARENA_MAX: '1', // for glibc: with more arenas it is chance how much each holds
  MALLOC_MMAP_THRESHOLD_: '16384', // larger blocks are given back when they are freed, such as 64 entries of the log
}

/** An attack that is repeated. */
export interface Attack {
  /** What runs while the quiet time is measured; a pause by default. */
  usual?(): Promise<unknown>
  /** Runs before the measurement. */
  prepare?(): Promise<unknown>
  /** Runs during the measurement. */
  make(): Promise<unknown>
  /** Runs after the measurement. */
  end?(): Promise<unknown>
}

interface Round {
  /** p99 of the healthy reader before the attack and during it, in ms. */
  readonly quiet: number
  readonly attacked: number
  readonly longest: number
}

/** A hub under attack, with a publisher and healthy readers that stay connected. */
export class Scene {
  /** The streams of the healthy readers. */
  readonly friends = CROWD + 1
  readonly server: Server
  readonly #healthy: Aside<Healthy>
  readonly #runtime: Runtime

  /** @param readers the largest number of attacking readers */
  static async of(runtime: Runtime, readers: number): Promise<Scene> {
    const collect = pathToFileURL(`${import.meta.dirname}/collect.ts`)
    const log = { LOG: `sqlite:${folderInMemory()}/hub.db` }
    // The setting of the adapters' guide against long pauses, and what `#memory` needs.
    const collected = runtime === node && { NODE_OPTIONS: `--max-semi-space-size=8 --expose-gc --import=${collect}` }
    const scene = new Scene(runtime, await start({ ...settings, ...log, ...collected }, runtime))
    await scene.#warm(readers)
    return scene
  }

  private constructor(runtime: Runtime, server: Server) {
    this.#runtime = runtime
    this.server = server
    this.#healthy = aside<Healthy>('healthy.ts', server.port)
  }

  /** An attacker that runs until the end of the test. */
  attacker<Known extends Calls>(module: string): Aside<Known> {
    const attacker = aside<Known>(module, this.server.port)
    onTestFinished(attacker.stop)
    return attacker
  }

  /** Attacks and pauses in turn. Expects that the healthy reader gets everything and that nothing is left; prints how late it got it. */
  async withstands(what: string, { usual = () => pause(QUIET_MS), prepare, make, end }: Attack): Promise<void> {
    const { serves, child } = this.server
    const before = { rss: await this.#memory(), fds: fdsOf(serves) }
    const rounds: Round[] = []
    let peak = 0
    while (rounds.length < ROUNDS) {
      const quiet = await this.late(usual)
      await prepare?.()
      const attacked = await this.late(make)
      peak = Math.max(peak, rssOf(serves))
      rounds.push({ quiet: quiet.p99, attacked: attacked.p99, longest: attacked.longest })
      await end?.()
      await this.#isAlone(before.fds)
      await pause(SETTLE_MS)
    }
    const most = maxMemory(this.#runtime) * before.rss
    const after = await this.#memory(most)
    console.log(
      `${this.#runtime.name}, ${what}: the healthy reader's p99 is ${p99Of('attacked', rounds)} ms, and ${p99Of('quiet', rounds)} without the attack; ` +
        `the longest wait ${Math.max(...rounds.map(({ longest }) => longest))} ms; RSS ${mib(before.rss)} → ${mib(peak)} → ${mib(after)}`,
    )
    expect(child.exitCode).toBeNull()
    expect(await this.#healthy.ask('complaints')).toEqual([])
    expect(after).toBeLessThan(most)
  }

  /** How late events reach the healthy reader during something, in ms. */
  async late(meanwhile: () => Promise<unknown>): Promise<{ p99: number; longest: number }> {
    await this.#healthy.ask('begin')
    await meanwhile()
    const late = await this.#healthy.ask('end')
    return { p99: tenth(quantile(late, 0.99)), longest: tenth(Math.max(...late)) }
  }

  stop(): void {
    this.#healthy.stop()
  }

  /** Waits until only the healthy readers are left. */
  async #isAlone(fds: number): Promise<void> {
    const { readers, serves } = this.server
    await expect.poll(readers, { timeout: 20_000, interval: 50 }).toBe(this.friends)
    await expect.poll(() => fdsOf(serves), { timeout: 20_000, interval: 50 }).toBeLessThanOrEqual(fds + SPARE_FDS)
  }

  /**
   * Fills the window and the log, lets the common code be compiled, and lets as many readers come and go as will attack. The memory
   * that this leaves is not due to the attack: 5,000 readers with full buffers leave 50 MiB in the heap of the C library, while
   * JavaScript's heap is back at 16, and the next 5,000 hardly more (measured: 114 MiB before, then 167, 170, 171).
   */
  async #warm(readers: number): Promise<void> {
    await this.#healthy.ask('start', CROWD)
    for (let times = 0; times < runs(1, 2); times++) {
      const others = aside<Deaf>('deaf.ts', this.server.port)
      await others.ask('begin', readers)
      await expect.poll(this.server.readers, { timeout: 20_000 }).toBe(readers + this.friends)
      await others.ask('flood', 16 * MIB, 2000)
      await expect.poll(this.server.readers, { timeout: 20_000 }).toBe(this.friends)
      others.stop()
      await this.#memory()
    }
  }

  /** Resident memory, on Node after a collection; polls for a while if it is more than `most`. */
  async #memory(most = Number.POSITIVE_INFINITY): Promise<number> {
    const { serves } = this.server
    const until = performance.now() + MAX_RETURN_MS
    for (;;) {
      if (this.#runtime === node) process.kill(serves, 'SIGUSR2')
      await pause(300)
      const rss = rssOf(serves)
      if (rss < most || performance.now() > until) return rss
    }
  }
}

function p99Of(name: 'quiet' | 'attacked', rounds: readonly Round[]): number {
  return median(rounds.map((round) => round[name]))
}

function tenth(ms: number): number {
  return Math.round(10 * ms) / 10
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`
}
