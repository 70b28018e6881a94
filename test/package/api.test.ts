import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { cleanUp, folder } from '../server/server.ts'
import { subpaths } from './project.ts'
import { kept, keptReport, reportOf, writeReports } from './reports.ts'

afterAll(cleanUp)

test('the reports in .github/api say what the public face is; npm run api writes them again', {
  timeout: 300_000,
}, async ({ skip }) => {
  const output = folder()
  skip(!(await writeReports(output)), 'the npm registry cannot be reached')
  expect(readdirSync(kept).sort()).toEqual(subpaths.map(reportOf).sort())
  for (const subpath of subpaths)
    expect(keptReport(subpath)).toBe(readFileSync(join(output, reportOf(subpath)), 'utf8'))
})
