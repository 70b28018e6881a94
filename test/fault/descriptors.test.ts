import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { preloaded } from '../server/preloaded.ts'
import { bun, deno, node, type Runtime } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start, withoutProc } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** The number of file descriptors that the hub may have, and a larger number of connections of one client. */
const DESCRIPTORS = 64
const CONNECTIONS = 200

const attackers: Socket[] = []

afterEach(() => {
  for (const socket of attackers.splice(0)) socket.destroy()
  return cleanUp()
})

/** The runtime with few file descriptors. */
function limited(runtime: Runtime): Runtime {
  const command: Runtime['command'] = (...given) => [
    ...['sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$0" "$@"`],
    ...runtime.command(...given),
  ]
  return { ...runtime, command }
}

/** Opens connections that send only the beginning of a request. Bun does not accept a connection that sends nothing. */
async function attack({ port }: Server): Promise<void> {
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    socket.write('GET / HTTP/1.1\r\n')
    attackers.push(socket)
  }
  await pause(500)
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** Publishes on a connection that was opened before, if that is still open. */
async function publish({ port }: Server, data: string): Promise<string> {
  const sent = request({
    port,
    agent,
    method: 'POST',
    path: '/send?topic=a',
    headers: { 'content-type': 'text/plain' },
  })
  sent.end(data)
  const [answer] = await once(sent, 'response')
  return ((await json(answer)) as { id: string }).id
}

/** The status of the page, requested on a connection that was opened before. */
async function page({ port }: Server): Promise<number> {
  const asked = request({ port, agent, path: '/' }).end()
  const [answer] = await once(asked, 'response')
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode
}

describe.skipIf(withoutProc !== '')('connections that take every file descriptor', () => {
  test.each(part([node], [bun, deno]))(
    'do not end a hub on $name: open streams go on, new requests are answered',
    async (runtime) => {
      const server = await start({ LOG: `sqlite:${folder()}/hub.db` }, limited(runtime))
      const stream = new Stream(server.port, '/event?topic=a')
      await stream.until(() => stream.reader.events.length > 0)
      expect(await publish(server, 'before')).toMatch(/-1$/)
      for (let round = 0; round < 3; round++) {
        await attack(server)
        for (const socket of attackers.splice(0)) socket.destroy()
        const answers = async () => (await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(500) })).status
        await expect.poll(() => answers().catch(() => 0)).toBe(200)
      }
      expect(await publish(server, 'after')).toMatch(/-2$/)
      await stream.until(() => stream.reader.data.includes('after'))
      expect(stream.reader.data).toEqual(expect.arrayContaining(['before', 'after']))
      expect(stream.closed).toBe(false)
      expect(await server.kill('SIGTERM')).toBe(0)
      expect(server.output).toContain('SIGTERM: draining 1 streams')
      if (runtime === deno) expect(server.output).toContain('Cannot accept connections, trying again: ')
    },
  )

  test.each(part([node], [bun, deno]))(
    'break the page of a hub on $name at most until the connections are closed',
    async (runtime) => {
      const server = await start({ MAX_READERS: '1000' }, limited(runtime))
      await publish(server, 'opens the connection that the page is requested on')
      for (let i = 0; i < CONNECTIONS; i++) {
        const { socket } = new Stream(server.port, '/event?topic=b')
        attackers.push(socket)
      }
      await pause(500)
      await page(server) // answers 500 on a runtime that can open no file now
      for (const socket of attackers.splice(0)) socket.destroy()
      await expect.poll(async () => (await fetch(`${server.url}/health`)).status).toBe(200)
      await expect.poll(() => page(server)).toBe(200)
      expect((await fetch(`${server.url}/docs`)).status).toBe(200)
    },
  )

  test.each(part([node], []))(
    'are reported once on $name, and do not end the hub, if $name emits an error for them',
    async (runtime) => {
      const failing = `import http from 'node:http'
      const listen = http.Server.prototype.listen
      http.Server.prototype.listen = function (...given) {
        setInterval(() => this.listening && this.emit('error', new Error('accept EMFILE')), 50)
        return listen.apply(this, given)
      }`
      const server = await start(preloaded(failing), runtime)
      await server.says(/"Cannot accept connections, trying again: accept EMFILE"/)
      await pause(500)
      expect(server.output.match(/Cannot accept/g)).toHaveLength(1)
      expect((await fetch(`${server.url}/health`)).status).toBe(200)
      expect(await server.kill('SIGTERM')).toBe(0)
    },
  )
})
