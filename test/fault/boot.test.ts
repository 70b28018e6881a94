import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import { settings } from '../../src/config/settings.ts'
import { part } from '../part.ts'
import { preloaded } from '../server/preloaded.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, folder, launch, type Process, type Server, start } from '../server/server.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
const withoutIpv6 = hasIpv6 ? '' : 'needs IPv6, which this machine does not have'

afterEach(cleanUp)

describe.each(part([node], [bun, deno]))('a server on $name prints', (runtime) => {
  test('its address, who may reach it, its log and the durability of the log', async () => {
    const memory = await start({}, runtime)
    expect(memory.output).toBe(
      `Tidings listens on http://localhost:${memory.port} (open to this machine only); log memory:, durability memory\n`,
    )
    const file = join(folder(), 'made', 'hub.db')
    const disk = await start({ LOG: `sqlite:${file}`, OPEN: 'true' }, runtime)
    expect(disk.output).toContain(
      `Tidings listens on http://localhost:${disk.port} (open to everybody who can reach it); log sqlite:${file}, durability disk\n`,
    )
    expect(disk.output).toContain(
      'OPEN=true: everybody who can reach this hub may read, write and delete everything in it\n',
    )
  })

  test('every setting under --help', async () => {
    const running = launch({}, ['--help'], runtime)
    expect(await running.stopped).toBe(0)
    for (const [name, { description, defaultText }] of Object.entries(settings))
      expect(running.output).toMatch(new RegExp(`^  ${name} .*${literal(defaultText)} .*${literal(description)}$`, 'm'))
  })

  test('that it listens only when it can already be stopped', async () => {
    for (let i = 0; i < 3; i++) expect(await (await start({}, runtime)).kill('SIGTERM')).toBe(0)
  })
})

describe.each(part([node], [bun, deno]))('an open server on $name', (runtime) => {
  test('reports on SIGHUP that it has no keys to read', async () => {
    const server = await start({}, runtime)
    process.kill(server.pid, 'SIGHUP')
    await server.says(/^SIGHUP: this hub has no keys to read$/m)
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
  })

  test('serves HTTP/1.0 without a Host, and refuses a Host that is not valid', async () => {
    const { port } = await start({}, runtime)
    const health = await exchange(port, 'GET /health HTTP/1.0\r\n\r\n')
    expect(health).toMatch(/^HTTP\/1\.\d 200 OK\r\n(.|\s)*\{"status":"ok"\}$/)
    const body = 'Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello'
    expect(await exchange(port, `POST /send?topic=a HTTP/1.0\r\n${body}`)).toMatch(/^HTTP\/1\.\d 200 OK\r\n/)
    expect(await exchange(port, 'GET /event?topic=a&last=1 HTTP/1.0\r\n\r\n', /data: hello\n/)).toContain('hub.open')
    for (const host of ['a b', '@', ''])
      expect(await exchange(port, `GET /health HTTP/1.0\r\nHost: ${host}\r\n\r\n`)).toMatch(/^HTTP\/1\.\d 40[03] /)
  })
})

describe.each(part([node], [bun, deno]))('a server on $name does not start', (runtime) => {
  test('when another process writes to its log file; the error names that process, which keeps working', async () => {
    const log = `sqlite:${join(folder(), 'hub.db')}`
    const first = await start({ LOG: log }, runtime)
    const second = launch({ LOG: log, PORT: '0' }, [], runtime)
    expect(await second.stopped).toBe(1)
    expect(second.output).toMatch(new RegExp(`^Cannot open .*hub\\.db: process ${first.pid} is writing to it`))
    expectOneSentence(second)
    await publish(first, 'still here')
  })

  test('while another process writes to its log file, but starts once that process was killed or stopped', async () => {
    const log = `sqlite:${join(folder(), 'hub.db')}`
    const killed = await start({ LOG: log }, runtime)
    await killed.kill('SIGKILL')
    const stopped = await start({ LOG: log }, runtime)
    expect(await stopped.kill('SIGTERM')).toBe(0)
    await start({ LOG: log }, runtime)
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
    const running = launch(wrong, [], runtime)
    expect(await running.stopped).toBe(1)
    const [head, ...mistakes] = running.output.trimEnd().split('\n')
    expect(head).toBe('Cannot start: 6 settings are wrong')
    expect(mistakes).toHaveLength(6)
    for (const [name, value] of Object.entries(wrong))
      expect(mistakes).toContainEqual(expect.stringContaining(`  ${name}="${value}": expected `))
  })

  test.each(['0.0.0.0', '::', '192.0.2.1'])('on %s without OPEN=true', async (HOST) => {
    const running = launch({ LOG: 'memory:', PORT: '0', HOST }, [], runtime)
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(/^Cannot start: a setting is wrong\n {2}HOST=.*OPEN=true/)
  })

  test('when its log cannot be written, and names the path and the reason', async () => {
    const notAFolder = join(folder(), 'file')
    writeFileSync(notAFolder, '')
    const running = launch({ PORT: '0', LOG: `sqlite:${join(notAFolder, 'hub.db')}` }, [], runtime)
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(
      new RegExp(`^Cannot write the log to ${literal(notAFolder)}/hub\\.db: .*LOG=sqlite:PATH`),
    )
    expectOneSentence(running)
  })

  test('on a file that is not a log, and adds no files beside it', async () => {
    const place = folder()
    const file = join(place, 'letter.txt')
    writeFileSync(file, 'Dear all, this is no database.\n'.repeat(200))
    const running = launch({ PORT: '0', LOG: `sqlite:${file}` }, [], runtime)
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(/^Cannot .*letter\.txt/)
    expectOneSentence(running)
    expect(readdirSync(place).filter((name) => !name.includes('lock'))).toEqual(['letter.txt'])
  })

  test('on a port that is taken, and releases its log', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const log = `sqlite:${join(folder(), 'hub.db')}`
    const running = launch({ LOG: log, PORT: `${port}` }, [], runtime)
    expect(await running.stopped).toBe(1)
    expect(running.output).toMatch(new RegExp(`^Cannot listen on 127\\.0\\.0\\.1 port ${port}: .*PORT`))
    expectOneSentence(running)
    taken.close()
    await start({ LOG: log }, runtime)
  })
})

test.each(
  part(
    [],
    [
      { holder: node, other: bun },
      { holder: bun, other: deno },
      { holder: deno, other: node },
    ],
  ),
)(
  'a file that $holder.name writes to is refused by $other.name, which names the writing process',
  async ({ holder, other }) => {
    const LOG = `sqlite:${join(folder(), 'hub.db')}`
    const first = await start({ LOG }, holder)
    await publish(first, 'one')
    const second = launch({ LOG, PORT: '0' }, [], other)
    expect(await second.stopped).toBe(1)
    expect(second.output).toContain(`process ${first.pid} is writing to it`)
    expectOneSentence(second)
    await publish(first, 'two')
    await first.kill('SIGKILL')
    const third = await start({ LOG }, other)
    const id = await publish(third, 'three')
    expect(id, 'continues where the other one ended').toMatch(/-3$/)
  },
)

test.each(part([], [worker]))(
  'a Worker on $name with wrong settings answers with 503, and logs how many settings are wrong',
  async (runtime) => {
    const server = await start({ HEARTBEAT: 'soon', RETENTION_BYTES: '1 GiB' }, runtime)
    const answer = await fetch(`${server.url}/ready`)
    expect(answer.status).toBe(503)
    await server.says(/Cannot start: 2 settings are wrong/)
  },
)

describe.each(part([node], []))('an open hub on loopback, on $name', () => {
  test('answers only requests whose Host is this machine', async () => {
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

  test('answers requests with any Host under OPEN=true', async () => {
    const server = await start({ OPEN: 'true' })
    expect((await ask(server, 'tidings.example')).statusCode).toBe(200)
  })
})

describe.skipIf(withoutIpv6)(`over IPv6${withoutIpv6 && ` (skipped: ${withoutIpv6})`}`, () => {
  test.each(part([node], [bun, deno]))(
    'a hub on $name serves [::1] and 127.0.0.1 with HOST=::, and says how it is reached',
    async (runtime) => {
      const both = await start({ HOST: '::', OPEN: 'true' }, runtime)
      for (const host of ['[::1]', '127.0.0.1'])
        expect([host, (await fetch(`http://${host}:${both.port}/health`)).status]).toEqual([host, 200])
      expect(both.output).toContain(`Tidings listens on http://[::]:${both.port} `)

      const own = await start({ HOST: '::1' }, runtime)
      const url = `http://[::1]:${own.port}`
      expect(own.output).toContain(`Tidings listens on ${url} (open to this machine only)`)
      expect((await fetch(`${url}/send?topic=a`, { method: 'POST', body: 'x', headers: { origin: url } })).status).toBe(
        200,
      )
    },
  )
})

describe.each(part([node], []))('a server on $name, before it listens,', () => {
  const counted = `import { subscribe } from 'node:diagnostics_channel'
    let requests = 0
    subscribe('http.server.request.start', () => requests++)
    process.once('exit', () => console.log(requests + ' requests'))`

  test('warms up with requests that leave nothing behind', async () => {
    const server = await start({ WARM_UP: 'true', REQUEST_LOG: 'all', ...preloaded(counted) })
    const { url } = server
    expect(await (await fetch(`${url}/topics`)).json()).toMatchObject({ topics: [] })
    expect(await publish(server, 'first')).toMatch(/-1$/)
    expect(await server.readers()).toBe(0)
    await server.kill('SIGTERM')
    const [listens, ...lines] = server.output.split('\n')
    expect(listens).toMatch(/^Tidings listens/)
    expect(lines.filter((line) => line.startsWith('{'))).toHaveLength(3)
    // On a slow machine one reader and its 40 messages are all the warm-up that there is time for.
    expect(Number(/^(\d+) requests$/m.exec(server.output)?.[1])).toBeGreaterThan(40)
  })

  test('may fail to warm up, and then listens all the same', async () => {
    const without = `import net from 'node:net'
      import { syncBuiltinESMExports } from 'node:module'
      net.connect = () => { throw new Error('no sockets') }
      syncBuiltinESMExports()`
    const server = await start({ WARM_UP: 'true', ...preloaded(without) })
    expect(await publish(server, 'first')).toMatch(/-1$/)
    expect(server.output).toMatch(/^Tidings listens .*\n$/)
  })

  test('does not warm up with WARM_UP=false', async () => {
    const server = await start({ WARM_UP: 'false', ...preloaded(counted) })
    await publish(server, 'first')
    await server.kill('SIGTERM')
    expect(server.output).toMatch(/^1 requests$/m)
  })
})

async function ask({ port }: Server, host: string): Promise<IncomingMessage> {
  const request = get({ port, host: '127.0.0.1', path: '/health', headers: { host }, agent: false })
  const [answer] = await once(request, 'response')
  return answer
}

/** Sends bytes. Resolves with the answer once the server has ended the connection, or once the answer matches `until`. */
async function exchange(port: number, sent: string, until?: RegExp): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  socket.write(sent)
  let answer = ''
  for await (const text of socket) {
    answer += text
    if (until?.test(answer)) break
  }
  return answer
}

async function publish({ url }: Server, data: string): Promise<string> {
  const answer = await fetch(`${url}/send?topic=a`, { method: 'POST', body: data })
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { id: string }).id
}

/** Expects one line for people, without a stack. */
function expectOneSentence({ output }: Process): void {
  expect(output.trimEnd().split('\n')).toHaveLength(1)
}

function literal(given: string): string {
  return given.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
