import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { raise } from '../browser/browser.ts'
import { chromium } from '../browser/chromium.ts'
import { part } from '../part.ts'
import { cleanUp } from '../server/server.ts'
import { problems } from './recipe.ts'

const all = ['news', 'timeline', 'dots', 'chat', 'dashboard', 'ticker', 'express', 'job', 'react', 'vue']
const inFirst = ['news']

describe.skipIf(chromium.missing)(`a recipe${chromium.missing && ` (skipped: ${chromium.missing})`}`, () => {
  afterEach(async () => {
    await chromium.leave()
    await cleanUp()
    raise(problems)
  })
  afterAll(() => chromium.quit())

  test.for(
    part(
      inFirst,
      all.filter((name) => !inFirst.includes(name)),
    ),
  )('%s does what its check says', { timeout: 180_000 }, async (name) => {
    const { check } = (await import(`./${name}/check.ts`)) as { check: () => Promise<void> }
    await check()
  })
})

test.each(all)('%s has at most 80 lines of code, without comments', (name) => {
  const folder = join(import.meta.dirname, name)
  const files = ['server.ts', ...globSync('page/*.{js,ts,tsx}', { cwd: folder })]
  const lines = files.flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'))
  const isCode = (line: string) => !/^\s*(\/\/.*|\/?\*.*)?$/.test(line)
  expect(files.length).toBe(2)
  expect(lines.filter(isCode).length).toBeLessThanOrEqual(80)
})
