import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { blocksOf, fileOf } from '../recipes/guide.ts'
import { install } from '../server/programs.ts'
import { cleanUp, folder, freePort } from '../server/server.ts'
import { installPackage } from './installed.ts'
import { expectLive } from './live.ts'

const place = folder()
let isInstalled = false

beforeAll(async () => {
  isInstalled = await install('hosts/next', place)
  await installPackage(place)
  for (const [file, name] of [
    ['live.js', 'live.ts'],
    ['app/live/[...path]/route.js', 'route.ts'],
  ] as const) {
    const block = blocksOf('src/adapters/HOSTS.md').find((block) => fileOf(block) === name)!
    mkdirSync(dirname(join(place, file)), { recursive: true })
    writeFileSync(join(place, file), stripTypeScriptTypes(block.text).replace('./live.ts', '../../../live.js'))
  }
  writeFileSync(
    join(place, 'app', 'layout.js'),
    'export default ({ children }) => <html><body>{children}</body></html>',
  )
}, 300_000)

afterAll(cleanUp)

test('the route handler of the guide delivers what is published, and notices a reader that leaves, in Next.js', {
  timeout: 360_000,
}, async ({ skip }) => {
  skip(!isInstalled, 'needs the npm registry')
  const port = await freePort()
  const next = spawn(process.execPath, ['node_modules/next/dist/bin/next', 'dev', '-p', `${port}`, '-H', '127.0.0.1'], {
    cwd: place,
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'development' },
    stdio: 'ignore',
    detached: true, // a group: Next.js starts processes of its own
  })
  onTestFinished(() => void process.kill(-next.pid!, 'SIGKILL'))
  const url = `http://127.0.0.1:${port}/live`
  const alive = () =>
    fetch(`${url}/health`).then(
      ({ status }) => status,
      () => 0,
    )
  await expect.poll(alive, { timeout: 90_000, interval: 200 }).toBe(200)
  await expectLive(url)
})
