import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { install, run } from '../server/programs.ts'
import { cleanUp, folder } from '../server/server.ts'
import { writeDescription } from './description.ts'

afterEach(cleanUp)

const root = join(import.meta.dirname, '..', '..')

test('Redocly finds nothing in the description', { timeout: 180_000 }, async () => {
  const description = await writeDescription(folder())
  const redocly = join(root, 'node_modules', '@redocly', 'cli', 'bin', 'cli.js')
  const args = [redocly, 'lint', description, '--extends', 'recommended', '--format', 'json']
  const quiet = { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const { code, output } = await run(process.execPath, args, folder(), quiet)
  expect(output).toContain('"totals"')
  expect(JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)).problems).toEqual([])
  expect(code).toBe(0)
})

test('Spectral finds nothing in the description', { timeout: 300_000 }, async ({ skip }) => {
  const place = folder()
  skip(!(await install('openapi/spectral', place)), 'the npm registry cannot be reached')
  const description = await writeDescription(place)
  writeFileSync(join(place, 'rules.yaml'), 'extends: ["spectral:oas"]\n')
  const spectral = join(place, 'node_modules', '@stoplight', 'spectral-cli', 'dist', 'index.js')
  const args = [spectral, 'lint', description, '-r', 'rules.yaml', '--fail-severity', 'hint']
  const { code, output } = await run(process.execPath, args, place)
  expect(output.trim()).toMatch(/^No results with a severity of 'hint' or higher found!$/)
  expect(code).toBe(0)
})
