import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { linkModules } from './server/modules.ts'
import { cleanUp, folder, freePort } from './server/server.ts'

const root = join(import.meta.dirname, '..')
const folders = (process.env.PATH ?? '').split(delimiter).filter((place) => !place.includes('node_modules'))
const versionOf = (node: string) => `${spawnSync(node, ['--version']).stdout}`.trim()
/** The folder of a Node of this machine that cannot run the hub. */
const oldNode = folders.find((place) => {
  const node = join(place, 'node')
  const [, major = '', minor = ''] = (existsSync(node) && /^v(\d+)\.(\d+)/.exec(versionOf(node))) || []
  return major !== '' && (Number(major) < 24 || (Number(major) === 24 && Number(minor) < 15))
})
const withoutOldNode = oldNode ? '' : ' (skipped: needs a Node before 24.15, which this machine does not have)'

afterEach(cleanUp)

/** Makes a folder like a clone after `npm ci`, in which npm has linked no Node; without `hasNode` npm has not installed a Node either. */
function clone({ hasNode }: { hasNode: boolean }): string {
  const made = folder()
  for (const name of ['package.json', 'src', 'public', 'test']) symlinkSync(join(root, name), join(made, name))
  linkModules(made, (path) => path !== '.bin/node' && (hasNode || !/^node-(bin-)?(linux|darwin)-/.test(path)))
  return made
}

/** The environment of a shell on a machine where `node` is the one in this folder. */
function machineWith(node: string, settings: Record<string, string> = {}): Record<string, string> {
  return { PATH: [node, ...folders].join(delimiter), HOME: process.env.HOME ?? '', ...settings }
}

function npm(cwd: string, env: Record<string, string>, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync('npm', args, { cwd, env, encoding: 'utf8' })
}

/** Starts the hub with npm, waits until it answers, and stops it. */
async function starts(cwd: string, node: string): Promise<void> {
  const port = await freePort()
  const env = machineWith(node, { PORT: `${port}`, LOG: 'memory:', WARM_UP: 'false' })
  const hub = spawn('npm', ['start'], { cwd, env, stdio: 'ignore' })
  const ended = once(hub, 'exit')
  const status = () =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      (answer) => answer.status,
      () => hub.exitCode,
    )
  await expect.poll(status, { timeout: 15_000, interval: 50 }).toBe(200)
  hub.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
}

test('every npm script first finds a Node that can run it', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }
  for (const [name, script] of Object.entries(scripts))
    expect([name, script]).toEqual([name, expect.stringMatching(/^\. test\/toolchain\/node\.sh && /)])
})

test.each([
  ['v20.20.2', false],
  ['v22.22.3', false],
  ['v24.14.9', false],
  ['v24.15.0', true],
  ['v24.20.1', true],
  ['v25.9.0', false],
  ['v26.0.0', true],
  ['v30.1.0', true],
])('a Node %s is taken: %s', (version, isTaken) => {
  const place = folder()
  writeFileSync(join(place, 'node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 })
  const guard = join(root, 'test', 'toolchain', 'node.sh')
  const { status, stderr } = spawnSync('sh', ['-c', `. ${guard}`], {
    cwd: place,
    env: machineWith(place),
    encoding: 'utf8',
  })
  expect([status, stderr.split(':')[0]]).toEqual(isTaken ? [0, ''] : [1, `Cannot run on Node ${version}`])
})

test("npm start runs on the machine's own Node, if that is new enough and the install brought none", async () => {
  await starts(clone({ hasNode: false }), dirname(process.execPath))
})

describe.skipIf(withoutOldNode)(`on a machine with an old Node${withoutOldNode}`, () => {
  test('npm start runs on the Node of the install, although npm 10 links none', async () => {
    await starts(clone({ hasNode: true }), oldNode!)
  })

  test('npm run token passes its arguments on', () => {
    const { status, stdout } = npm(
      clone({ hasNode: true }),
      machineWith(oldNode!),
      'run',
      '-s',
      'token',
      '--',
      '--help',
    )
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^Makes a token/)])
  })

  test.each(['start', 'test', 'token'])('npm run %s says in a sentence which Node it needs', (script) => {
    const { status, stderr } = npm(clone({ hasNode: false }), machineWith(oldNode!), 'run', '-s', script)
    const version = versionOf(join(oldNode!, 'node'))
    expect([status, stderr.split('\n')[0]]).toEqual([
      1,
      `Cannot run on Node ${version}: Tidings needs Node 24.15, or 26 or newer. On Linux and macOS \`npm ci\` brings one unless it leaves out optional dependencies; elsewhere install one from https://nodejs.org`,
    ])
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})
