import { setTimeout as pause } from 'node:timers/promises'
import { random } from '../../server/random.ts'
import { withoutRedis } from '../../server/redis.ts'
import { GRACE_MS, LEASE_MS, type Reading, type Side, tidings, upstream } from '../answers/sides.ts'
import type { Measurements, Progress, Row } from '../row.ts'

const ANSWERS = 40
const AT_ONCE = 8
/** What R3 promises, after the death of the producer. */
const BOUND_MS = LEASE_MS + GRACE_MS + 1000
/** How long the bench waits for an end before it says that a reader hangs. */
const WAIT_MS = 10_000

interface Counts {
  answers: number
  told: number
  late: number
  silent: number
  hanging: number
  /** Readers that have all tokens of the killed producer that were acknowledged. */
  whole: number
}

export const deaths: Row = {
  name: 'deaths',
  says: `Kills the producers of ${ANSWERS} answers with SIGKILL, and counts the readers that are told within ${BOUND_MS} ms that the answer has failed.`,
  async run(progress): Promise<Measurements> {
    const lines: Measurements['lines'][number][] = []
    for (const open of withoutRedis ? [tidings] : [tidings, upstream]) {
      const side = await open()
      for (const [who, isLate] of [
        ['that were there', false],
        ['that came after', true],
      ] as const) {
        const counts = await killed(side, isLate, progress)
        lines.push({
          ...{ answers: side.name, readers: `${counts.answers} ${who}`, 'told of the failure': counts.told },
          ...{ 'told later': counts.late, 'told that all is well': counts.silent, hanging: counts.hanging },
          'with all tokens': counts.whole,
        })
      }
      await side.stop()
    }
    return {
      lines,
      ratios: [],
      notes: [
        `a reader hangs that has been told nothing ${WAIT_MS} ms after the death; lease ${LEASE_MS} ms, grace ${GRACE_MS} ms`,
        ...(withoutRedis ? [`without resumable-stream: ${withoutRedis}`] : []),
      ],
    }
  },
}

async function killed(side: Side, isLate: boolean, progress: Progress): Promise<Counts> {
  const counts: Counts = { answers: 0, told: 0, late: 0, silent: 0, hanging: 0, whole: 0 }
  const numbers = random()
  let next = 0
  const lane = async () => {
    while (next < ANSWERS) {
      const n = next++
      progress(`${side.name}: answer ${n + 1} of ${ANSWERS}`)
      const answer = await side.answer(n + (isLate ? ANSWERS : 0))
      const early = isLate ? undefined : answer.read()
      if (early) while (early().tokens === 0 && early().end === undefined) await pause(5)
      await pause(numbers.whole(0, 500))
      const said = await answer.kill()
      const diedAt = performance.now()
      const reading = early ?? answer.read()
      note(counts, said, reading, await told(reading, diedAt))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return counts
}

/** Waits until a reader is told an end. @returns after how many ms */
async function told(reading: () => Reading, diedAt: number): Promise<number> {
  while (reading().end === undefined && performance.now() - diedAt < WAIT_MS) await pause(5)
  return performance.now() - diedAt
}

function note(counts: Counts, said: number, reading: () => Reading, ms: number): void {
  const { tokens, end } = reading()
  counts.answers++
  if (tokens >= said) counts.whole++
  if (end === undefined) counts.hanging++
  else if (end === 'a clean end') counts.silent++
  else if (ms <= BOUND_MS) counts.told++
  else counts.late++
}
