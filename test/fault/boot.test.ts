import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import { settings } from '../../src/config.ts'
import { cleanUp, folder, launch, type Process, type Server, start } from '../server/server.ts'

afterEach(cleanUp)

describe('a server says at its start', () => {
  test('where it listens and to whom, which log it has and what that survives', async () => {
    const memory = await start()
    expect(memory.output).toBe(
      `Tidings listens on http://localhost:${memory.port} (open to this machine only); log memory:, durability memory\n`,
    )
    const file = join(folder(), 'made', 'hub.db')
    const disk = await start({ LOG: `sqlite:${file}`, OPEN: 'true' })
    expect(disk.output).toBe(
      `Tidings listens on http://localhost:${disk.port} (open to everybody who can reach it); log sqlite:${file}, durability disk\n`,
    )
  })

  test('every setting there is, when asked with --help', async () => {
    const running = launch({}, ['--help'])
    expect(await running.stopped).toBe(0)
    for (const [name, { says, initial }] of Object.entries(settings))
      expect(running.output).toMatch(new RegExp(`^  ${name} .*${literal(initial)} .*${literal(says)}$`, 'm'))
  })

  test('that it listens, and can be stopped from then on', async () => {
    for (let i = 0; i < 5; i++) expect(await (await start()).kill('SIGTERM')).toBe(0)
  })
})

describe('a server does not start', () => {
  test('on a file that another process writes to: it names that process, which goes on', async () => {
    const log = `sqlite:${join(folder(), 'hub.db')}`
    const first = await start({ LOG: log })
    const second = launch({ LOG: log, PORT: '0' })
    expect(await second.stopped).toBe(1)
    expect(second.output).toMatch(new RegExp(`^Cannot open .*hub\\.db: process ${first.pid} is writing to it`))
    expectOneSentence(second)
    const answer = await fetch(`${first.url}/send?message=still+here`, { method: 'POST' })
    expect(answer.status).toBe(200)
  })

  test('and starts on that file again once the process is gone, killed or not', async () => {
    const log = `sqlite:${join(folder(), 'hub.db')}`
    const killed = await start({ LOG: log })
    await killed.kill('SIGKILL')
    const stopped = await start({ LOG: log })
    expect(await stopped.kill('SIGTERM')).toBe(0)
    await start({ LOG: log })
  })

  test('with wrong settings, and lists every mistake at once', async () => {
    const wrong = {
      PORT: '70000',
      LOG: 'mysql:x',
      HEARTBEAT: 'soon',
      OPEN: 'yes',
      RETENTION_BYTES: '1 GiB',
      HOST: 'a b',
    }
    const running = launch(wrong)
    expect(await running.stopped).toBe(1)
    const [head, ...mistakes] = running.output.trimEnd().split('\n')
    expect(head).toBe('Cannot start: 6 settings are wrong')
    expect(mistakes).toHaveLength(6)
    for (const [name, value] of Object.entries(wrong))
      expect(mistakes).toContainEqual(expect.stringContaining(`  ${name}="${value}": expected `))
  })

  test.each(['0.0.0.0', '::', '192.0.2.1'])('on %s for everybody to use, unless OPEN=true says so', async (HOST) => {
    const running = launch({ LOG: 'memory:', PORT: '0', HOST })
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(/^Cannot start: a setting is wrong\n {2}HOST=.*OPEN=true/)
  })

  test('where its log cannot be written, and says where that is and why', async () => {
    const notAFolder = join(folder(), 'file')
    writeFileSync(notAFolder, '')
    const running = launch({ PORT: '0', LOG: `sqlite:${join(notAFolder, 'hub.db')}` })
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(
      new RegExp(`^Cannot write the log to ${literal(notAFolder)}/hub\\.db: .*LOG=sqlite:PATH`),
    )
    expectOneSentence(running)
  })

  test('on what is no log, and leaves it as it was', async () => {
    const place = folder()
    const file = join(place, 'letter.txt')
    writeFileSync(file, 'Dear all, this is no database.\n'.repeat(200))
    const running = launch({ PORT: '0', LOG: `sqlite:${file}` })
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(/^Cannot .*letter\.txt/)
    expectOneSentence(running)
    expect(readdirSync(place).filter((name) => !name.includes('lock'))).toEqual(['letter.txt'])
  })

  test('on a port that is taken, and lets go of its log', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const log = `sqlite:${join(folder(), 'hub.db')}`
    const running = launch({ LOG: log, PORT: `${port}` })
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(new RegExp(`^Cannot listen on 127\\.0\\.0\\.1 port ${port}: .*PORT`))
    expectOneSentence(running)
    taken.close()
    await start({ LOG: log })
  })
})

describe('an open hub of one machine', () => {
  test('answers only to names of this machine', async () => {
    const server = await start()
    for (const host of [
      'evil.example',
      `evil.example:${server.port}`,
      '127.0.0.1.evil.example',
      '192.0.2.1',
      'localhost.evil.example',
    ]) {
      const answer = await ask(server, host)
      expect([answer.statusCode, answer.headers['content-type']], host).toEqual([403, 'application/problem+json'])
      expect(JSON.parse(await text(answer))).toMatchObject({ status: 403, code: 'host_forbidden' })
    }
    for (const host of [
      'localhost',
      `localhost:${server.port}`,
      '127.0.0.1',
      '[::1]',
      'LOCALHOST',
      'tidings.localhost',
    ])
      expect((await ask(server, host)).statusCode, host).toBe(200)
  })

  test('answers to every name with OPEN=true', async () => {
    const server = await start({ OPEN: 'true' })
    expect((await ask(server, 'tidings.example')).statusCode).toBe(200)
  })
})

async function ask({ port }: Server, host: string): Promise<IncomingMessage> {
  const request = get({ port, host: '127.0.0.1', path: '/health', headers: { host }, agent: false })
  const [answer] = await once(request, 'response')
  return answer
}

/** No stack and nothing of the inside: one line for people. */
function expectOneSentence({ output }: Process): void {
  expect(output.trimEnd().split('\n')).toHaveLength(1)
}

function literal(given: string): string {
  return given.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
