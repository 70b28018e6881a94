import { setTimeout as pause } from 'node:timers/promises'
import type { Aborts } from '../../fault/hostile/aborts.ts'
import type { Calls } from '../../fault/hostile/answers.ts'
import { type Aside, aside } from '../../fault/hostile/aside.ts'
import type { Bodies } from '../../fault/hostile/bodies.ts'
import type { Deaf } from '../../fault/hostile/deaf.ts'
import type { Topics } from '../../fault/hostile/topics.ts'
import { start } from '../../server/server.ts'
import { Live } from '../live.ts'
import { median, quantile } from '../quantile.ts'
import type { Progress, Row } from '../row.ts'

const READERS = 100
const ROUNDS = 5
const QUIET_MS = 1500
const DEAF = 500
const ABORTS = 1000
const TOPICS = 4000
const BODIES = 3
const MIB = 1024 ** 2
/** More than Linux buffers for a socket, and a chunk. */
const FULL = 6 * MIB

interface Attack<Known extends Calls> {
  readonly what: string
  /** The file of the attacker, which runs in a process of its own. */
  readonly module: string
  /** What is not measured: before the first round, and before and after the attack of each round. */
  begin?(attacker: Aside<Known>): Promise<unknown>
  prepare?(attacker: Aside<Known>): Promise<unknown>
  make(attacker: Aside<Known>): Promise<unknown>
  end?(attacker: Aside<Known>): Promise<unknown>
}

const neverRead: Attack<Deaf> = {
  what: `${DEAF} readers that never read, and a MiB a second for them`,
  module: 'deaf.ts',
  async prepare(deaf) {
    await deaf.ask('begin', DEAF)
    await deaf.ask('flood', FULL, 1000) // until its buffers are full, each of them costs as much as a reader that reads
  },
  make: (deaf) => deaf.ask('flood', MIB, 1000),
  end: (deaf) => deaf.ask('end'),
}
const comeAndGo: Attack<Aborts> = {
  what: `${ABORTS.toLocaleString('en')} readers that come and go`,
  module: 'aborts.ts',
  begin: (aborts) => aborts.ask('prepare'),
  make: (aborts) => aborts.ask('come', ABORTS),
}
const manyTopics: Attack<Topics> = {
  what: `${TOPICS.toLocaleString('en')} new topics`,
  module: 'topics.ts',
  make: (topics) => topics.ask('explode', TOPICS),
}
const badBodies: Attack<Bodies> = {
  what: 'bodies that are refused',
  module: 'bodies.ts',
  make: (bodies) => bodies.ask('send', BODIES),
}

/** How much later events reach healthy readers while somebody attacks the hub. Tests only hold that everything reaches them. */
export const attacked: Row = {
  name: 'attacked',
  says: `Delivers to ${READERS} healthy readers while somebody attacks the hub.`,
  async run(progress) {
    const measured = [
      await measure(neverRead, progress),
      await measure(comeAndGo, progress),
      await measure(manyTopics, progress),
      await measure(badBodies, progress),
    ]
    return {
      lines: measured.map(({ what, quiet, during }) => ({
        what,
        'p99 without, ms': quiet,
        'p99 attacked, ms': during,
      })),
      ratios: measured.map(({ what, quiet, during }) => ({ of: `p99, ${what}`, value: during / quiet, goal: '≤ 1.5' })),
      notes: [
        `medians of ${ROUNDS} rounds on a hub on Node with its log in memory; quiet and attack by turns, 50 events a second`,
      ],
    }
  },
}

async function measure<Known extends Calls>(attack: Attack<Known>, progress: Progress) {
  const { what, module, begin, prepare, make, end } = attack
  const server = await start({ LOG: 'memory:', STALL: '2500ms', RETENTION_BYTES: '16MiB' })
  const live = await Live.of(server, READERS)
  const attacker = aside<Known>(module, server.port)
  const p99s: { quiet: number; during: number }[] = []
  await begin?.(attacker)
  for (let round = 1; round <= ROUNDS; round++) {
    progress(`${what}, round ${round} of ${ROUNDS}`)
    const quiet = quantile(await live.during(pause(QUIET_MS)), 0.99)
    await prepare?.(attacker)
    const during = quantile(await live.during(make(attacker)), 0.99)
    await end?.(attacker)
    p99s.push({ quiet, during })
  }
  attacker.stop()
  live.close()
  await server.kill('SIGTERM')
  return {
    what,
    quiet: median(p99s.map((p99) => p99.quiet)),
    during: median(p99s.map((p99) => p99.during)),
  }
}
