import { request, type ServerResponse } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { post } from '../browser/client.ts'
import { part } from '../part.ts'
import { cleanUp, start } from '../server/server.ts'
import { answering } from './answering.ts'
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

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings doctor on %s', (runtime) => {
  const cli = new Cli(runtime)
  const check = async (...args: string[]) => {
    const { status, stdout } = await cli.run(['doctor', '--json', ...args])
    const findings = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { check: string; level: string; text: string; advice?: string })
    return { status, findings, of: (name: string) => findings.find(({ check }) => check === name) }
  }

  test('finds nothing wrong with a hub, and leaves no topic behind', async () => {
    const hub = await start({ LOG: 'memory:', CORS_ORIGINS: 'https://app.example' })
    const { status, findings, of } = await check(hub.url, '--origin', 'https://app.example')
    expect([status, findings.map(({ check }) => check)]).toEqual([
      0,
      ['durability', 'HTTP version', 'keep-alive', 'stream', 'event', 'clock', 'CORS'],
    ])
    expect(of('durability')).toMatchObject({ level: 'note', advice: expect.stringContaining('LOG') })
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
