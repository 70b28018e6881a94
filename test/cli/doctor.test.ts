import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { request, type ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { handler } from '../../src/adapters/node.ts'
import { createApp, Hub, memoryLog } from '../../src/index.ts'
import { post } from '../browser/client.ts'
import { part } from '../part.ts'
import { cleanUp, folder, start } from '../server/server.ts'
import { answering, listening } from './answering.ts'
import { Cli } from './cli.ts'

afterEach(cleanUp)

/** A proxy that passes an answer on once it is whole, or with `shift` the time that it says. */
const proxy = (target: string, { buffers = true, shiftMs = 0 } = {}) =>
  answering((asked, response) => {
    const { port } = new URL(target)
    const { method, url: path, headers } = asked
    const onwards = request({ port, host: '127.0.0.1', path, method, headers }, (answer) => {
      const chunks: Buffer[] = []
      if (!buffers) response.writeHead(answer.statusCode!, answer.headers)
      answer.on('data', (chunk) => {
        const text = `${chunk}`.replace(
          /"time":"([^"]*)"/,
          (_, time) => `"time":"${new Date(Date.parse(time) + shiftMs).toISOString()}"`,
        )
        if (buffers) chunks.push(chunk)
        else response.write(text)
      })
      answer.on('end', () => {
        if (buffers) response.writeHead(answer.statusCode!, answer.headers)
        response.end(Buffer.concat(chunks))
      })
    })
    onwards.on('error', () => response.destroy())
    response.on('close', () => onwards.destroy())
    asked.pipe(onwards)
  })

/** Answers every request with these bytes, and then closes the connection: each, or none, or only those of programs that name no `User-Agent`. */
const saying = (bytes: string, closes: 'each' | 'none' | 'unnamed') =>
  listening(
    createServer((socket) => {
      socket.on('error', () => {}) // the client has gone
      socket.on('data', (asked) => {
        socket.write(bytes)
        if (closes === 'each' || (closes === 'unnamed' && !/^user-agent:/im.test(`${asked}`))) socket.end()
      })
    }),
  )

const withoutOpenssl = spawnSync('openssl', ['version']).error ? 'needs openssl, which this machine does not have' : ''

/** A key and a certificate that it has signed itself, for servers of this machine. Deno accepts none of an authority for a server. */
const certificate = () => {
  const [key, cert] = [join(folder(), 'key.pem'), join(folder(), 'cert.pem')]
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const noAuthority = ['-addext', 'basicConstraints=critical,CA:FALSE']
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert]
  spawnSync('openssl', ['req', '-x509', ...made, ...names, ...noAuthority])
  return { key: readFileSync(key), cert: readFileSync(cert), file: cert }
}

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings doctor on %s', (runtime) => {
  const cli = new Cli(runtime)
  const check = (...args: string[]) => checkWith({}, ...args)
  const checkWith = async (env: Record<string, string>, ...args: string[]) => {
    const { status, stdout, stderr } = await cli.run(['doctor', '--json', ...args], { env })
    const findings = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { check: string; level: string; text: string; advice?: string })
    return { status, findings, stderr, of: (name: string) => findings.find(({ check }) => check === name) }
  }

  test('finds nothing wrong with a hub, and leaves no topic behind', async () => {
    const hub = await start({ LOG: 'memory:', CORS_ORIGINS: 'https://app.example' })
    const { status, findings, of } = await check(hub.url, '--origin', 'https://app.example')
    expect([status, findings.map(({ check }) => check)]).toEqual([
      0,
      ['durability', 'HTTP version', 'keep-alive', 'stream', 'event', 'clock', 'CORS'],
    ])
    expect(of('durability')).toMatchObject({ level: 'note', advice: expect.stringContaining('LOG') })
    expect([of('HTTP version'), of('keep-alive')]).toMatchObject([
      { level: 'ok', text: 'HTTP/1.1 without TLS, on this machine' },
      { level: 'ok', text: 'a connection serves several requests' },
    ])
    expect((await (await fetch(`${hub.url}/topics`)).json()).topics).toEqual([])
  })

  test('finds a proxy that buffers, an origin that may not use the hub, and a clock that is wrong', async () => {
    const hub = await start()
    const buffering = await proxy(hub.url)
    const held = await check(buffering.url, '--timeout', '2s', '--origin', 'https://other.example')
    expect(held.status).toBe(1)
    expect(held.of('stream')).toMatchObject({
      level: 'problem',
      advice: expect.stringContaining('proxy_buffering off'),
    })
    expect(held.of('CORS')).toMatchObject({ level: 'problem', advice: expect.stringContaining('CORS_ORIGINS') })
    buffering.close()
    const late = await proxy(hub.url, { buffers: false, shiftMs: 60_000 })
    expect((await check(late.url)).of('clock')).toMatchObject({
      level: 'problem',
      text: expect.stringMatching(/^is (59|60)\.\d s ahead of/),
    })
    late.close()
  })

  test.each([
    ['HTTP/1.0', ['1.0 200 OK', 'Content-Length: 38'], 'none', 'HTTP/1', 'the answer is HTTP/1.0'],
    ['HTTP/1.0 without a length', ['1.0 200 OK'], 'each', 'HTTP/1', 'the answer is HTTP/1.0'],
    [
      'a connection that closes without a word',
      ['1.1 200 OK', 'Content-Length: 38'],
      'unnamed', // `fetch` could ask on a connection that is about to close
      'keep-alive',
      'the connection closes after one request',
    ],
    [
      'Connection: close',
      ['1.1 200 OK', 'Content-Length: 38', 'Connection: close'],
      'each',
      'keep-alive',
      'each request needs a new connection: the answer says Connection: close',
    ],
  ] as const)('finds %s', async (_, head, closes, name, text) => {
    const hub = await saying(`HTTP/${head.join('\r\n')}\r\n\r\n{"status":"ready","durability":"disk"}`, closes)
    const { status, of } = await check(hub.url)
    expect([status, of(name)]).toEqual([1, expect.objectContaining({ level: 'problem', text })])
    expect(of('HTTP/1.1')).toBeUndefined()
    expect(of('keep-alive')!.level).toBe(closes === 'none' ? 'ok' : 'problem')
    hub.close()
  })

  test('notes that a hub which other machines reach has no TLS', async () => {
    const hub = await saying('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}', 'none')
    expect((await check(hub.url.replace('127.0.0.1', '0.0.0.0'))).of('HTTP version')).toMatchObject({
      level: 'note',
      text: expect.stringMatching(/^HTTP\/1\.1 without TLS: /),
      advice: expect.stringContaining('TLS and HTTP/2'),
    })
    hub.close()
  })

  test.skipIf(withoutOpenssl)(
    `finds nothing wrong with a hub behind TLS with HTTP/2, and notes a lack of HTTP/2${withoutOpenssl && ` (skipped: ${withoutOpenssl})`}`,
    async () => {
      const { file, ...pair } = certificate()
      const listener = handler(createApp({ hub: new Hub(() => memoryLog()), open: true }))
      const secure = await listening(createSecureServer({ ...pair, allowHTTP1: true }, listener), 'https')
      const trusting = { NODE_EXTRA_CA_CERTS: file }
      const { status, stderr, of } = await checkWith(trusting, secure.url)
      expect([status, stderr, of('HTTP version'), of('keep-alive')]).toEqual([
        0,
        '',
        { check: 'HTTP version', level: 'ok', text: 'HTTP/2 over TLS' },
        expect.objectContaining({ level: 'ok' }),
      ])
      secure.close()
      const old = await listening(createTlsServer(pair, listener), 'https')
      expect((await checkWith(trusting, old.url)).of('HTTP version')).toMatchObject({
        level: 'note',
        text: expect.stringMatching(/^TLS without HTTP\/2: /),
        advice: expect.stringContaining('http2 on'),
      })
      old.close()
    },
  )

  test('says which rights its token lacks, and exits with 3 without a hub', async () => {
    const hub = await start({ AUTH_SECRET: 'x'.repeat(32) })
    const { status, of } = await check(hub.url)
    expect([status, of('stream')]).toEqual([
      1,
      expect.objectContaining({ advice: expect.stringContaining('--token-file') }),
    ])
    const token = await cli.run(['token', '--publish', 'doctor/*', '--subscribe', 'doctor/*'], {
      env: { AUTH_SECRET: 'x'.repeat(32) },
    })
    const left = await check(hub.url, '--token', token.stdout.trim())
    expect(left.of('scratch topic')).toMatchObject({
      level: 'problem',
      advice: expect.stringContaining('$topics/doctor/*'),
    })
    await hub.kill('SIGKILL')
    expect((await cli.run(['doctor', hub.url])).status).toBe(3)
  })

  test('goes on without the right to publish', async () => {
    const AUTH_SECRET = 'x'.repeat(32)
    const hub = await start({ AUTH_SECRET })
    const { stdout } = await cli.run(['token', '--subscribe', 'doctor/*'], { env: { AUTH_SECRET } })
    const { status, of } = await check(hub.url, '--token', stdout.trim())
    expect([status, of('stream'), of('clock')?.level]).toEqual([
      1,
      expect.objectContaining({ level: 'problem', advice: expect.stringContaining('may publish') }),
      'ok',
    ])
  })

  test.each([
    ['ends', (stream: ServerResponse) => stream.end()],
    ['is cut', (stream: ServerResponse) => stream.destroy()],
    ['is ended by the hub', (stream: ServerResponse) => stream.end('event: hub.ending\ndata: {}\nretry: 1\n\n')],
  ])('reports a stream that %s, goes on, and deletes its topic', async (_, end) => {
    const methods: string[] = []
    let stream: ServerResponse | undefined
    const { url, close } = await answering((asked, response) => {
      methods.push(asked.method!)
      if (asked.url?.startsWith('/event')) {
        stream = response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('event: hub.open\ndata: {}\n\n')
      } else {
        response.setHeader('content-type', 'application/json').end('{"status":"ready","durability":"disk"}')
        if (asked.method === 'POST') end(stream!)
      }
    })
    const { status, of } = await check(url)
    expect([status, of('stream'), of('clock')?.level]).toEqual([
      1,
      expect.objectContaining({ level: 'problem', advice: expect.stringContaining('proxy_read_timeout') }),
      'ok',
    ])
    expect(methods).toContain('DELETE')
    close()
  })

  test('deletes no other topic, whatever its prefix is', async () => {
    const hub = await start()
    for (const prefix of ['chat#', 'chat?', 'doctor/../chat']) {
      await post(`${hub.url}/send?topic=chat`, { data: prefix })
      await check(hub.url, '--prefix', prefix)
    }
    expect((await (await fetch(`${hub.url}/topics`)).json()).topics).toMatchObject([{ topic: 'chat', kept: 3 }])
  })

  test('deletes its topic at Ctrl-C too, and ends by the signal', async () => {
    const paths: string[] = []
    const { url, close } = await answering((asked, response) => {
      paths.push(`${asked.method} ${asked.url?.replace(/[0-9a-f-]{36}.*/, 'ID')}`)
      response.writeHead(200, {
        'content-type': asked.url?.startsWith('/event') ? 'text/event-stream' : 'application/json',
      })
      if (asked.url?.startsWith('/event')) response.write('event: hub.open\ndata: {}\n\n')
      else response.end('{"status":"ready","durability":"disk"}')
    })
    const running = cli.start(['doctor', url, '--timeout', '60s'])
    await expect.poll(() => paths, { timeout: 15_000 }).toContain('POST /send?topic=doctor%2FID')
    expect([await running.kill('SIGINT'), paths.at(-1)]).toEqual(['SIGINT', 'DELETE /topics/doctor/ID'])
    close()
  })
})
