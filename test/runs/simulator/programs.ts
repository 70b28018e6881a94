import { AppError } from '../../../src/errors.ts'
import type { Ending, Run, RunMessage } from '../../../src/runs/run.ts'
import type { Random } from '../../server/random.ts'
import type { Model } from './model.ts'
import { sleep } from './virtual-time.ts'
import type { Home, World } from './world.ts'

/** How the producers of a topic behave. */
export interface Plan {
  readonly topic: string
  readonly leaseMs: number
  readonly graceMs: number
  /** A key that all producers of the topic have, so that one takes over at once. */
  readonly key: string | undefined
  readonly messages: number
  /** The part of the steps of a producer at which it dies. */
  readonly deaths: number
  /** Whether a producer that takes over says the keyed messages of its predecessors again. */
  readonly repeats: boolean
}

/** How a producer ended. */
export type Fate = 'ended' | 'died' | 'died with its hub' | 'lost its run' | 'came too late' | 'gave up'

interface Live {
  readonly run: Run
  readonly home: Home
  /** When it has claimed its topic, by `performance.now()`. */
  readonly since: number
  /** Whether no other producer may take over while it lives. */
  readonly isAlone: boolean
}

/** The programs of a world, and how many of each were started and have ended. */
export class Programs {
  readonly started = new Map<string, number>()
  readonly ended = new Map<string, number>()
  readonly #world: World
  readonly #model: Model
  readonly #live = new Set<Live>()
  readonly #said = new Map<string, (RunMessage & { readonly key: string })[]>()
  #names = 0

  constructor(world: World, model: Model) {
    this.#world = world
    this.#model = model
  }

  /** Runs a program, and counts it and how it ends. */
  async run(what: string, program: () => Promise<string>): Promise<string> {
    add(this.started, what)
    const fate = await program()
    add(this.ended, what)
    add(this.ended, `${what} ${fate}`)
    return fate
  }

  /** A producer: claims, says its messages, and ends, or dies without a word. */
  produce(plan: Plan, random: Random, isPatient: boolean): Promise<string> {
    return this.run('producer', () => this.#produce(plan, random, isPatient))
  }

  async #produce(plan: Plan, random: Random, isPatient: boolean): Promise<Fate> {
    const { topic, leaseMs, graceMs, key } = plan
    const name = `p${this.#names++}`
    for (;;) {
      const home = await this.#world.home
      try {
        const options = { leaseMs, graceMs, ...(key !== undefined && { key }) }
        const run = await home.runs.claim(topic, options)
        const live = { run, home, since: performance.now(), isAlone: key === undefined }
        this.#live.add(live)
        const fate = await this.#say(plan, random, name, live).finally(() => this.#live.delete(live))
        return fate
      } catch (error) {
        const code = codeOf(error)
        if (code === 'topic_closed') return 'came too late'
        if (code === 'run_taken' && !isPatient) return 'gave up'
        const leaseEnd = Date.parse(String((error as AppError).more?.leaseEnd))
        await sleep(
          code === 'run_taken' ? Math.max(1, leaseEnd - Date.now()) + random.whole(0, 3) : random.whole(20, 300),
        )
      }
    }
  }

  async #say(plan: Plan, random: Random, name: string, live: Live): Promise<Fate> {
    const { topic, leaseMs, messages, deaths, repeats } = plan
    const { run, home } = live
    const said = this.#said.get(topic) ?? []
    this.#said.set(topic, said)
    for (let i = 0, again = repeats ? [...said] : []; i < messages && !run.signal.aborted; i++) {
      await sleep(random() < 0.1 ? random.whole(leaseMs, 3 * leaseMs) : random.whole(0, leaseMs / 3))
      if (this.#isDead(live)) return this.#die(live)
      const next = () => {
        const data = `${name}/${i}`
        if (random() < 0.4) return { data }
        const message = { data, key: data }
        said.push(message)
        return message
      }
      const some = random() < 0.2 ? [next(), { data: `${name}/${i}+` }] : (again.shift() ?? next())
      if (random() < deaths) {
        if (random() < 0.5) void this.run('publish of the dying', () => publish(run, some))
        return this.#die(live, random, plan)
      }
      for (let tries = 0; ; tries++) {
        const outcome = await this.run('publish', () => publish(run, some))
        if (this.#isDead(live)) return this.#die(live)
        if (outcome !== 'unknown') break
        if (Array.isArray(some) || !('key' in some) || tries === 5) break
        await sleep(random.whole(10, 200))
      }
    }
    return this.#end(random, live, home)
  }

  /** Ends the run: as stopped if somebody has asked for that. */
  async #end(random: Random, live: Live, home: Home): Promise<Fate> {
    const { run } = live
    const reason = run.signal.aborted ? codeOf(run.signal.reason) : undefined
    if (reason !== undefined && reason !== 'run_stopped') {
      const mayBe = home.death.aborted || this.#model.mayBeLost(run.topic, run.fence)
      if (reason === 'run_lost' && !mayBe)
        this.#model.broken.push(`R1: a producer of ${run.topic} lost its run for no reason`)
      if (!this.#world.kind.isRemote && live.isAlone && !this.#model.wasDisturbed(run.topic, live.since))
        this.#model.broken.push(`R1: a producer of ${run.topic} lost its run although it lived`)
      return 'lost its run'
    }
    if (reason === 'run_stopped' && !this.#model.topic(run.topic).stopAsked)
      this.#model.broken.push(`R4: a producer of ${run.topic} was stopped by nobody`)
    const outcome: Ending['outcome'] = reason === 'run_stopped' ? 'stopped' : random.pick(['done', 'done', 'failed'])
    const last: Ending = {
      outcome,
      ...(random() < 0.5 && { data: `last of claim ${run.fence} at ${performance.now()} ${random()}` }),
      ...(outcome === 'failed' && { detail: 'as planned' }),
    }
    for (;;) {
      try {
        await run.end(last)
        return 'ended'
      } catch (error) {
        if (this.#isDead(live)) return this.#die(live)
        const code = codeOf(error)
        if (code === 'topic_closed' || code === 'run_lost') return 'lost its run'
        await sleep(random.whole(20, 200))
      }
    }
  }

  /** In-process programs die with their hub. */
  #isDead({ home }: Live): boolean {
    return home.death.aborted && !this.#world.kind.isRemote
  }

  /** Dies without a word; or only stalls, and goes on much later, as if nothing had happened. */
  async #die(live: Live, random?: Random, plan?: Plan): Promise<Fate> {
    const { run, home } = live
    run.release()
    this.#live.delete(live)
    if (random && plan && random() < 0.3) {
      const overMs = plan.leaseMs + plan.graceMs
      const isJustInTime = random() < 0.3 // in the moment in which the log ends the run
      const untilOver = this.#model.topic(run.topic).lifeAt + overMs - performance.now()
      await sleep(isJustInTime ? Math.max(0, untilOver) : random.whole(0, 2 * overMs))
      await this.run('sign of the stalled', () =>
        isJustInTime && random() < 0.5
          ? answered(() => run.renew())
          : publish(run, { data: `stalled ${run.topic} ${random()}` }),
      )
    }
    return home.death.aborted ? 'died with its hub' : 'died'
  }

  /** A reader: leaves now and then, comes back with its last id, and is told how the topic ended. */
  read(topic: string, random: Random): Promise<string> {
    return this.run('reader', async () => {
      const who = `reader ${this.#names++}`
      const got: number[] = []
      let after: string | undefined
      let visits = random.whole(0, 3)
      for (;;) {
        const home = await this.#world.home
        const control = new AbortController()
        const leaving = visits-- > 0 ? setTimeout(() => control.abort(), random.whole(0, 8000)) : undefined
        const cameAt = performance.now()
        let hasEnded = false
        try {
          const options = { signal: control.signal, ...(after !== undefined && { after }) }
          for await (const item of home.runs.entries(topic, options)) {
            after = item.id
            if (item.kind === 'gap') {
              if (this.#model.topic(topic).deletions === 0)
                this.#model.broken.push(`${who} of ${topic} was told of a gap: ${item.reason}`)
              continue
            }
            const seq = Number(item.id.slice(item.id.lastIndexOf('-') + 1))
            // Over HTTP the end is an item of its own, and so told apart from the data of the same entry.
            if (got.at(-1) !== seq || !item.close) got.push(seq)
            if (!item.close) continue
            hasEnded = true
            this.#model.checkReader(topic, got, seq, who)
            this.#checkLate(topic, seq, cameAt, who)
          }
          if (hasEnded) return 'told the end'
          if (!control.signal.aborted) this.#model.broken.push(`${who} of ${topic} was left without an end`)
        } catch (error) {
          if (!(error instanceof AppError)) throw error // an outage: comes back
        } finally {
          clearTimeout(leaving)
        }
        await sleep(random.whole(10, 1500))
      }
    })
  }

  /** A reader who is there is told at once. */
  #checkLate(topic: string, seq: number, cameAt: number, who: string): void {
    const end = this.#model.topic(topic).entries.find(({ entry }) => entry.seq === seq)
    if (!end || this.#world.kind.isRemote || this.#model.wasAway(end.at)) return
    const late = performance.now() - Math.max(end.at, cameAt)
    if (late > 0) this.#model.broken.push(`${who} of ${topic} was told of the end ${late} ms late`)
  }

  /** Asks to stop a run; a producer of the same process is told at once. */
  stop(topic: string): Promise<string> {
    return this.run('stop', async () => {
      const home = await this.#world.home
      try {
        const info = await home.runs.stop(topic)
        if (!info) return 'before the run'
        if (info.outcome) return 'after the run'
        await sleep(1)
        if (this.#world.kind.isRemote || this.#model.wasAway(performance.now() - 1)) return 'of a run'
        for (const { run, home: lives } of this.#live)
          if (run.topic === topic && run.fence === info.fence && lives === home && !run.signal.aborted)
            this.#model.broken.push(`R4: a producer of ${topic} was not told of a stop`)
        return 'of a run'
      } catch (error) {
        return codeOf(error)
      }
    })
  }

  /** Deletes a topic, until the hub says that it is deleted. */
  delete(topic: string): Promise<string> {
    return this.run('deletion', async () => {
      for (;;) {
        try {
          await (await this.#world.home).runs.delete(topic)
          return 'done'
        } catch (error) {
          if (!(error instanceof AppError)) throw error
          await sleep(100)
        }
      }
    })
  }
}

/** Publishes, and tells whether that is known. */
async function publish(run: Run, some: RunMessage | readonly RunMessage[]): Promise<string> {
  return answered(() =>
    Array.isArray(some) ? run.publish(some as readonly RunMessage[]) : run.publish(some as RunMessage),
  )
}

async function answered(call: () => Promise<unknown>): Promise<string> {
  try {
    await call()
    return 'taken'
  } catch (error) {
    const code = codeOf(error)
    return code === 'run_lost' || code === 'topic_closed' ? 'refused' : 'unknown'
  }
}

function codeOf(error: unknown): string {
  return error instanceof AppError ? error.code : 'unknown'
}

function add(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1)
}
