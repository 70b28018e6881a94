import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { freePort } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

const root = join(import.meta.dirname, '..', '..')
const started = new Set<ChildProcess>()

afterEach(() => {
  for (const { pid } of started) {
    try {
      process.kill(-pid!, 'SIGKILL')
    } catch {
      // All processes of the group have ended.
    }
  }
  started.clear()
})

/** Starts a hub with npm, in a process group that can be interrupted as by a terminal. */
async function npmRun(script: string) {
  const port = await freePort()
  const npm = spawn('npm', ['run', script], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: `${port}`, LOG: 'memory:', WARM_UP: 'false' },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  started.add(npm)
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      ({ status }) => status,
      () => 0,
    )
  await expect.poll(answers, { timeout: 15_000, interval: 50 }).toBe(200)
  return { npm, port, answers, output: text(npm.stdout!), ended: once(npm, 'close') }
}

/** Opens a stream that is not read and a request whose body does not end: the hub then drains for as long as it may. */
async function keepBusy(port: number): Promise<void> {
  const stream = new Stream(port, '/event?topic=a')
  await stream.until(() => stream.reader.events.length > 0)
  stream.socket.pause()
  const send = new Stream(port, '/health')
  send.socket.write('POST /send?topic=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1')
  await pause(100)
}

describe.each(part(['start'], ['start:bun', 'start:deno']))('npm run %s', (script) => {
  test('passes SIGTERM on to the hub, and ends with it', async () => {
    const { npm, answers, output, ended } = await npmRun(script)
    npm.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(await answers(), 'the hub has ended as well').toBe(0)
    expect(await output).toContain('SIGTERM: draining 0 streams')
  })

  test('drains after Ctrl-C, which the hub gets from the terminal and from npm', async () => {
    const { npm, port, output, ended } = await npmRun(script)
    await keepBusy(port)
    process.kill(-npm.pid!, 'SIGINT')
    expect(await ended).toEqual([0, null])
    expect(await output).toContain('SIGINT: draining 1 streams')
  })
})

test.each(part(['start'], []))('a second signal ends a hub that drains, by npm run %s', async (script) => {
  const { npm, port, ended } = await npmRun(script)
  await keepBusy(port)
  npm.kill('SIGTERM')
  await pause(1000)
  const began = performance.now()
  npm.kill('SIGTERM')
  expect(await ended).toEqual([1, null])
  expect(performance.now() - began).toBeLessThan(1000)
})
