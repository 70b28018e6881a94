import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { SECRET, token } from '../auth/suite.ts'
import { lasting } from '../browser/client.ts'
import { part } from '../part.ts'
import { cleanUp, start } from '../server/server.ts'
import { wireTo } from '../server/wire.ts'

const bin = (name: string) => join(import.meta.dirname, '..', '..', 'node_modules', '.bin', name)

const runtimes = {
  Node: [process.execPath],
  Bun: [bin('bun')],
  Deno: [bin('deno'), 'run', '-A'],
}

/** A run of `program.js`, and the lines that it has printed. */
class Program {
  readonly lines: unknown[] = []
  errors = ''
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess

  constructor(runtime: keyof typeof runtimes, scene: string, url: string, more: object = {}) {
    const [command, ...args] = [...runtimes[runtime], join(import.meta.dirname, 'program.js')]
    this.#child = spawn(command!, [...args, scene, url, JSON.stringify(more)], { stdio: ['ignore', 'pipe', 'pipe'] })
    let rest = ''
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.lines.push(JSON.parse(line))
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
    })
    this.ended = new Promise((resolve) => this.#child.on('close', resolve))
    programs.add(this)
  }

  /** Resolves when it has printed this line. */
  async says(line: unknown): Promise<void> {
    await expect.poll(() => [this.errors, this.lines]).toEqual(['', expect.arrayContaining([line])])
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

const programs = new Set<Program>()

afterEach(async () => {
  for (const program of programs) program.kill()
  programs.clear()
  await cleanUp()
})

describe.each(part(['Node'] as const, ['Bun', 'Deno'] as const))('the client on %s', (runtime) => {
  test('publishes, subscribes, resumes, changes topics, ends with its topics, and says what was refused', async () => {
    const hub = await start()
    const program = new Program(runtime, 'promises', hub.url)
    expect([await program.ended, program.errors]).toEqual([0, ''])
    expect(program.lines).toEqual([
      ['the same key', true, true],
      ['a list', 2],
      [
        [true, 'a/1', 'said', '{"n":1.5}', true],
        [true, 'a/2', 'message', 'é☂👍\nline', true],
      ],
      ['left', { state: 'stopped' }, true],
      ['resumed', ['é☂👍\nline']],
      ['closed', ['é☂👍\nline', 'last'], [{ outcome: 'done', topic: 'a/2' }]],
      ['heard', 'c', 'on the same stream'],
      ['TidingsError', 'topic_invalid', 400, null],
      ['TidingsError', 'gap', null, 'epoch'],
      ['refused', ['topic_closed', 'refused']],
      'closed',
    ])
    expect(await hub.readers()).toBe(0)
  })

  test('loses and doubles nothing while the hub is killed and started again, as publisher and as reader', async () => {
    const settings = await lasting()
    let hub = await start(settings)
    const reader = new Program(runtime, 'lasting', hub.url)
    await reader.says(['open', 1])
    const writer = new Program(runtime, 'publishing', hub.url, { count: 100 })
    for (const count of [20, 60]) {
      await writer.says(['published', count])
      await hub.kill('SIGKILL')
      await pause(200)
      hub = await start(settings)
    }
    expect([await writer.ended, writer.errors]).toEqual([0, ''])
    expect([await reader.ended, reader.errors]).toEqual([0, ''])
    expect(reader.lines.at(-1)).toEqual(['end', 101, true, expect.any(Number)])
    expect(reader.lines).toContainEqual(['reconnecting', 'unreachable'])
  })

  test('notices a connection that is dead, and loses nothing', async () => {
    const hub = await start({ HEARTBEAT: '200ms', RETRY: '500ms' })
    const wire = await wireTo(hub.port)
    const reader = new Program(runtime, 'lasting', `http://127.0.0.1:${wire.port}`, { heartbeatMs: 200 })
    await reader.says(['open', 1])
    const publish = (data: string) =>
      fetch(`${hub.url}/send?topic=a`, { method: 'POST', body: data, headers: { 'content-type': 'text/plain' } })
    await publish('0')
    wire.cut()
    await reader.says(['reconnecting', 'silent'])
    await publish('1')
    wire.mend()
    await publish('2')
    await publish('end')
    expect([await reader.ended, reader.lines.at(-1)]).toEqual([0, ['end', 4, true, expect.any(Number)]])
    wire.close()
  })

  test('gives the live stream a new token before the old one expires, and ends when it has none', async () => {
    const hub = await start({ AUTH_SECRET: SECRET, REQUEST_LOG: 'all' })
    const inSeconds = (seconds: number) =>
      token({ subscribe: ['a'] }, { sub: 'ann', exp: Math.floor(Date.now() / 1000) + seconds })
    // The hub says hub.expiring 30 s before the end.
    const program = new Program(runtime, 'expiring', hub.url, { tokens: [await inSeconds(31), await inSeconds(600)] })
    await program.says(['asked', 1])
    await expect.poll(() => hub.output).toMatch(/"method":"POST","path":"\/streams\/[^"]*","status":200/)
    const authorization = `Bearer ${await token({ publish: ['a'] })}`
    await fetch(`${hub.url}/send?topic=a`, {
      method: 'POST',
      body: 'end',
      headers: { 'content-type': 'text/plain', authorization },
    })
    expect([await program.ended, program.errors]).toEqual([0, ''])
    expect(program.lines).toEqual([['asked', 2], ['open', 'live'], ['asked', 1], 'end'])
  })
})
