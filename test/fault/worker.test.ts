import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EventSource } from 'eventsource'
import { afterEach, expect, test } from 'vitest'
import { post } from '../server/resuming.ts'
import { worker } from '../server/runtimes.ts'
import { cleanUp, folder, freePort, start } from '../server/server.ts'

afterEach(cleanUp)

const root = join(import.meta.dirname, '..', '..')

test('npm run start:worker listens on PORT, and offline prints no stack trace', async () => {
  const port = await freePort()
  const npm = spawn('npm', ['run', 'start:worker'], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: `${port}`, CI: '1', WRANGLER_SEND_METRICS: 'false' },
    detached: true,
  })
  try {
    let output = ''
    for (const pipe of [npm.stdout, npm.stderr])
      pipe.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    const health = () =>
      fetch(`http://localhost:${port}/health`).then(
        ({ status }) => status,
        () => 0,
      )
    await expect.poll(health, { timeout: 30_000, interval: 100 }).toBe(200)
    expect(output).toContain('Ready on')
    expect(output).not.toMatch(/^\s+at |getaddrinfo|Unable to fetch/m)
  } finally {
    process.kill(-npm.pid!, 'SIGKILL')
  }
})

test('the guide names the size that wrangler deploy --dry-run prints, and wrangler warns of nothing', () => {
  const wrangler = join(root, 'node_modules', '.bin', 'wrangler')
  const { stdout, stderr } = spawnSync(wrangler, ['deploy', '--dry-run'], { cwd: root, encoding: 'utf8' })
  const kib = Number(/gzip: ([\d.]+) KiB/.exec(stdout)![1])
  const [, named] = /about (\d+) KiB gzipped/.exec(readFileSync(join(root, 'src', 'adapters', 'WORKERS.md'), 'utf8'))!
  expect(Math.abs(kib - Number(named))).toBeLessThan(3)
  expect(stdout + stderr).not.toMatch(/WARNING|warn/i)
})

test('an EventSource survives kill -9 of workerd and a start with a wrong setting, and misses no event', async () => {
  const env = { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db` }
  let server = await start(env, worker)
  const { url } = server
  const source = new EventSource(`${url}/event?topic=a`)
  const heard: string[] = []
  let hasOpened = 0
  source.addEventListener('open', () => hasOpened++)
  source.addEventListener('message', ({ data }) => heard.push(data))
  try {
    await expect.poll(() => hasOpened).toBe(1)
    await post(`${url}/send?topic=a`, { data: 'before' })
    await expect.poll(() => heard).toEqual(['before'])

    await server.kill('SIGKILL')
    server = await start({ ...env, MAX_READERS: 'many' }, worker)
    expect((await fetch(`${url}/health`)).status).toBe(503)
    await expect.poll(() => hasOpened, { timeout: 15_000 }).toBeGreaterThan(1)
    expect(source.readyState).not.toBe(EventSource.CLOSED)
    const mistakes = () => server.output.match(/MAX_READERS=.*expected a whole number/g) ?? []
    await expect.poll(mistakes).toHaveLength(1) // settings are parsed once an isolate, and there is one

    await server.kill('SIGKILL')
    server = await start(env, worker)
    await post(`${url}/send?topic=a`, { data: 'after' })
    await expect.poll(() => heard, { timeout: 20_000 }).toEqual(['before', 'after'])
  } finally {
    source.close()
  }
})
