import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { withoutRedis } from '../server/redis.ts'
import { cleanUp, folder } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')
const bin = (name: string) => join(root, 'node_modules', '.bin', name)
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const suites = ['memory', 'sqlite', 'identity', 'redis'].map((driver) => `test/log/${driver}.test.ts`)

/** How to run vitest itself on another runtime. */
const runtimes = {
  Bun: [bin('bun'), '--bun', vitest, '--pool', 'threads'],
  Deno: [bin('deno'), 'run', '-A', '--unstable-no-legacy-abort', vitest],
}

afterEach(cleanUp)

describe.each(Object.entries(runtimes))('every driver on %s', (_, [command, ...args]) => {
  test('passes the log suite', { timeout: 300_000 }, () => {
    const { PATH, HOME, SEED } = process.env
    const report = join(folder(), 'report.json')
    const run = ['run', '--config', 'test/vitest.config.ts', '--project', 'node', '--reporter', 'json', ...suites]
    const { stdout, stderr } = spawnSync(command!, [...args, ...run, '--outputFile', report], {
      cwd: root,
      encoding: 'utf8',
      env: { PATH, HOME, NO_COLOR: '1', ...(SEED && { SEED }) },
    })
    if (!existsSync(report)) throw new Error(`The runner wrote no report, only:\n${stdout}\n${stderr}`)
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number
      testResults: { assertionResults: { status: string; fullName: string; failureMessages: string[] }[] }[]
    }
    const failed = testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('\n')}`)
    expect(failed).toEqual([])
    expect(numPassedTests).toBeGreaterThan(withoutRedis ? 90 : 130)
  })
})
