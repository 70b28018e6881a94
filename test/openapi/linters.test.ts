import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { SECRET } from '../auth/suite.ts'
import { install, run } from '../server/programs.ts'
import { cleanUp, folder } from '../server/server.ts'
import { writeDescription } from './description.ts'

afterEach(cleanUp)

const root = join(import.meta.dirname, '..', '..')
const hubs = [
  ['an open hub', {}],
  ['a hub with keys', { AUTH_SECRET: SECRET }],
] as const

test.each(hubs)('Redocly finds nothing in the description of %s', { timeout: 180_000 }, async (_, settings) => {
  const description = await writeDescription(folder(), settings)
  const redocly = join(root, 'node_modules', '@redocly', 'cli', 'bin', 'cli.js')
  const args = [redocly, 'lint', description, '--extends', 'recommended', '--format', 'json']
  const quiet = { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const { code, output } = await run(process.execPath, args, folder(), quiet)
  expect(output).toContain('"totals"')
  expect(JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)).problems).toEqual([])
  expect(code).toBe(0)
})

test('Spectral finds nothing in the description of an open hub or one with keys', { timeout: 300_000 }, async ({
  skip,
}) => {
  const place = folder()
  skip(!(await install('openapi/spectral', place)), 'the npm registry cannot be reached')
  writeFileSync(join(place, 'rules.yaml'), 'extends: ["spectral:oas"]\n')
  const spectral = join(place, 'node_modules', '@stoplight', 'spectral-cli', 'dist', 'index.js')
  for (const [, settings] of hubs) {
    const description = await writeDescription(place, settings)
    const args = [spectral, 'lint', description, '-r', 'rules.yaml', '--fail-severity', 'hint']
    const { code, output } = await run(process.execPath, args, place)
    expect(output.trim()).toMatch(/^No results with a severity of 'hint' or higher found!$/)
    expect(code).toBe(0)
  }
})
