import type { Random } from '../../server/random.ts'
import { Model } from './model.ts'
import { type Plan, Programs } from './programs.ts'
import { sleep, type VirtualTime } from './virtual-time.ts'
import { type Kind, World } from './world.ts'

/** The runs of a history; they begin within `BEGIN_MS`. */
export const RUNS = 50
const BEGIN_MS = 20_000
/** A history that lasts longer is stuck: its runs take about a minute. */
const LIMIT_MS = 600_000

export interface Told {
  readonly model: Model
  readonly programs: Programs
}

/** One history: a hub, its runs, and what happens to them. Nothing that was started is left behind. */
export async function history(kind: Kind, random: Random, time: VirtualTime): Promise<Told> {
  const model = new Model()
  const world = new World(kind, model, random)
  const programs = new Programs(world, model)
  const topics = Array.from({ length: RUNS }, (_, i) => `runs/${i}`)
  const all = topics.flatMap((topic) => begin(programs, planOf(topic, random), random))
  const work = async () => {
    await Promise.all([...all, weather(world, random), clock(time, random)])
    while (model.calls.begun !== model.calls.ended) await sleep(1000) // publishes of producers that have died
    while (model.hasOpenRuns) await sleep(100) // of producers that have died, without readers
    await model.checkEnd((await world.home).log)
    if (kind.isOnDisk) {
      await world.restart(random() < 0.5, 100)
      await model.checkEnd((await world.home).log)
    }
    await world.end()
  }
  await time.run(work(), LIMIT_MS, model.broken).catch((error: Error) => {
    throw new Error(`${error.message}; started ${list(programs.started)}; ended ${list(programs.ended)}`, {
      cause: error,
    })
  })
  return { model, programs }
}

function list(counts: ReadonlyMap<string, number>): string {
  return Array.from(counts, ([what, count]) => `${what} ${count}`).join(', ')
}

function planOf(topic: string, random: Random): Plan {
  const leaseMs = random.whole(100, 4000)
  return {
    ...{ topic, leaseMs, graceMs: random.pick([0, leaseMs, random.whole(0, 2 * leaseMs)]) },
    key: random() < 0.3 ? `key of ${topic}` : undefined,
    messages: random.whole(0, 10),
    deaths: random.pick([0, 0.05, 0.2, 0.5]),
    repeats: random() < 0.5,
  }
}

/** Starts the programs of one run. */
function begin(programs: Programs, plan: Plan, random: Random): readonly Promise<string>[] {
  const { topic, leaseMs } = plan
  const at = random.whole(0, BEGIN_MS)
  const later = (ms: number, program: () => Promise<string>) => sleep(at + ms).then(program)
  const when = () => random.whole(0, 6 * leaseMs)
  const all = [later(0, () => programs.produce(plan, random, true))]
  for (let rivals = random.pick([0, 0, 1, 2]); rivals > 0; rivals--)
    all.push(later(when(), () => programs.produce(plan, random, random() < 0.5)))
  for (let readers = random.whole(1, 3); readers > 0; readers--)
    all.push(sleep(random.whole(0, at + 3 * leaseMs)).then(() => programs.read(topic, random)))
  if (random() < 0.2) all.push(sleep(random.whole(0, at + 4 * leaseMs)).then(() => programs.stop(topic)))
  if (random() < 0.05)
    all.push(later(when(), () => programs.delete(topic)).then(() => programs.produce(plan, random, true)))
  return all
}

/** What befalls the hub: a disk that fails for a while, and the death of its process. */
async function weather(world: World, random: Random): Promise<void> {
  if (!world.kind.isOnDisk) return
  for (let events = random.whole(0, 4); events > 0; events--) {
    await sleep(random.whole(1000, 8000))
    if (random() < 0.5) await world.restart(random() < 0.7, random.whole(0, 3000))
    else {
      const fault = random.pick(['at a statement', 'at the commit', 'after commit'] as const)
      await world.fail(fault, random.whole(0, 12), random.whole(1, 3000))
    }
  }
}

/** Sets the clock of the day now and then, forwards by less than the time for which a stop before the first claim is kept. */
async function clock(time: VirtualTime, random: Random): Promise<void> {
  for (let steps = random.pick([0, 0, 1, 3]); steps > 0; steps--) {
    await sleep(random.whole(0, BEGIN_MS))
    time.setClock(random.whole(-3_600_000, 180_000))
  }
}
