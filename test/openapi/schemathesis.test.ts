import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { installPython, run } from '../server/programs.ts'
import { cleanUp, folder, start } from '../server/server.ts'

afterEach(cleanUp)

const VERSION = '4.32.5'
const config = join(import.meta.dirname, 'schemathesis.toml')

test('Schemathesis finds no answer that differs from the description', { timeout: 600_000 }, async ({ skip }) => {
  const place = folder()
  const python = await installPython([`schemathesis==${VERSION}`], place)
  if ('missing' in python) return skip(python.missing)
  const hub = await start({ PUBLISH_RATE: '100000' })
  const { code, output } = await run(
    python.program('schemathesis'),
    [
      ...['--config-file', config, 'run', `${hub.url}/openapi.json`],
      ...['--exclude-operation-id', 'subscribe', '--exclude-operation-id', 'subscribeByBody'], // they stream
      ...['--max-examples', '30', '--seed', process.env.SEED ?? '1', '--warnings', 'off'],
    ],
    place,
  )
  expect(output).toMatch(/(\d{3,}) generated, \1 passed/)
  expect(code, output).toBe(0)
})
