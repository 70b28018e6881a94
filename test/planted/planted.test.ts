import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import { bugs } from './bugs.ts'

const TIMEOUT_MS = runs(10, 60) * 60_000

const possible = bugs.filter(({ cannotRun = '' }) => cannotRun === '')
const choose = random()
/** The bugs of this run, in an order that the seed chooses. */
const sample = possible
  .map((bug) => ({ bug, rank: choose() }))
  .sort((one, other) => one.rank - other.rank)
  .slice(0, runs(2, possible.length))
  .map(({ bug }) => bug)

test(`a test catches each of ${sample.length} planted bugs`, { timeout: TIMEOUT_MS }, async () => {
  const planted = spawn(process.execPath, [join(import.meta.dirname, 'planted.ts'), ...sample.map(({ name }) => name)])
  let output = ''
  for (const pipe of [planted.stdout, planted.stderr])
    pipe.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const [code] = await once(planted, 'close')
  expect([code, output]).toEqual([0, expect.any(String)])
  for (const { name } of sample) expect(output).toMatch(new RegExp(`^caught +${name} `, 'm'))
})
