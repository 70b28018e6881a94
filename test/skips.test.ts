import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { run } from './server/programs.ts'
import { cleanUp, folder } from './server/server.ts'

afterAll(cleanUp)

const vitest = join(import.meta.dirname, '..', 'node_modules', 'vitest', 'vitest.mjs')

/** What a run of five small tests prints, with our list of skipped tests and our end of the time for tests. */
async function printedOf(until: number, ...args: string[]): Promise<{ code: number; output: string }> {
  const place = folder()
  const [skips, setup] = ['skips.ts', 'until.ts'].map((file) => JSON.stringify(join(import.meta.dirname, file)))
  const config = `globals: true, reporters: ['default', ${skips}], setupFiles: [${setup}]`
  writeFileSync(join(place, 'vitest.config.mjs'), `export default { test: { ${config} } }`)
  writeFileSync(
    join(place, 'a.test.mjs'),
    `for (const title of ['one', 'two']) test(title, () => expect(1).toBe(1))
     for (const title of ['a', 'b']) test.skip(title + ' (skipped: needs x, which this machine does not have)', () => {})
     test.skip('c', () => {})`,
  )
  return run(process.execPath, [vitest, 'run', ...args], place, { TESTS_UNTIL: `${until}` })
}

test('a run ends with the reasons of skipped tests, each with the number of its tests', async () => {
  const { code, output } = await printedOf(Date.now() / 1000 - 1)
  expect(code).toBe(0)
  expect(output).toContain(`
Skipped tests:
   2  needs x, which this machine does not have
   1  no reason is given: c
   2  the time of this run is over: npm run test:all takes its time
`)
})

test('tests begin until TESTS_UNTIL, and what a filter leaves out needs no reason', async () => {
  const { code, output } = await printedOf(Date.now() / 1000 + 3600, '-t', 'one')
  expect([code, output]).toEqual([0, expect.stringMatching(/Tests +1 passed \| 4 skipped/)])
  expect(output).not.toContain('no reason is given')
})
