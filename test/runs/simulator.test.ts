import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { isRest } from '../part.ts'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import { history, RUNS } from './simulator/history.ts'
import { VirtualTime } from './simulator/virtual-time.ts'

/** 10,000 runs take 30 s of a processor. */
const HISTORIES = runs(isRest ? 10_000 : 1000, 1_000_000) / RUNS

let time: VirtualTime

beforeAll(() => {
  vi.spyOn(console, 'error').mockImplementation(() => {}) // hubs report each failed commit
  time = new VirtualTime()
})

afterAll(() => time.end())

/** Three of ten histories have their log on a disk that fails; few have programs elsewhere, because a request costs as much as 20 calls. */
const kindOf = (i: number) => ({ isOnDisk: i % 10 >= 7, isRemote: i % 20 === (i % 40 < 20 ? 5 : 19) })

test(`${HISTORIES * RUNS} runs end, once each, and every reader is told`, {
  timeout: runs(600_000, 7_200_000),
}, async () => {
  const total = new Map<string, number>()
  const add = (what: string, count: number) => total.set(what, (total.get(what) ?? 0) + count)
  let latestMs = 0
  for (let i = 0; i < HISTORIES; i++) {
    const { model, programs } = await history(kindOf(i), random(1000 + i), time).catch((error) => {
      throw new Error(`History ${i}, ${JSON.stringify(kindOf(i))}: ${error}`, { cause: error })
    })
    expect(model.broken, `history ${i}, ${JSON.stringify(kindOf(i))}`).toEqual([])
    for (const [what, count] of programs.started) {
      expect([what, programs.ended.get(what)]).toEqual([what, count])
      add(what, count)
    }
    for (const [what, count] of [...Object.entries(model.counts), ...model.outcomes]) add(what, count)
    latestMs = Math.max(latestMs, model.latestMs)
    vi.clearAllMocks() // they keep each call
  }
  console.log(
    `${HISTORIES * RUNS} runs: ${JSON.stringify(Object.fromEntries(total))}, abandoned at most ${latestMs} ms late`,
  )
})
