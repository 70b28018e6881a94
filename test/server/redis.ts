import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createClient } from '@redis/client'
import { folderInMemory, freePort } from './server.ts'

/** Why tests cannot run a real server; '' if they can. */
export const withoutRedis =
  spawnSync('redis-server', ['--version']).status === 0 ? '' : 'needs redis-server, which this machine does not have'

/** A real server on a free port, with settings of its own, which can be killed and started again. */
export interface RedisServer {
  readonly port: number
  /** The folder of its data. */
  readonly dir: string
  /** `redis://…` for a hub of this name. */
  url(name?: string): string
  start(settings?: Record<string, string>): Promise<void>
  /** Ends the server without time to save anything. */
  kill(): Promise<void>
  stop(signal: NodeJS.Signals): void
  command(command: readonly string[]): Promise<unknown>
}

const running = new Set<ChildProcess>()

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * @param settings as in redis.conf; by default what was acknowledged is on the disk
 * @param env added to the environment of its process
 */
export async function redisServer(
  settings: Record<string, string> = { appendonly: 'yes', appendfsync: 'always' },
  env: Record<string, string> = {},
): Promise<RedisServer> {
  const port = await freePort()
  const dir = folderInMemory() // it outlives the process, and syncs at once
  let child: ChildProcess | undefined
  const server: RedisServer = {
    port,
    dir,
    url: (name = 'hub') => `redis://127.0.0.1:${port}/${name}`,
    async start(others = settings) {
      const args = Object.entries({ port: `${port}`, bind: '127.0.0.1', dir, logfile: 'log', save: '', ...others })
      child = spawn(
        'redis-server',
        args.flatMap(([name, value]) => [`--${name}`, value]),
        { stdio: 'ignore', env: { ...process.env, ...env } },
      )
      running.add(child)
      while (!(await answers(port))) {
        if (child.exitCode !== null)
          throw new Error(`redis-server ended: ${readFileSync(`${dir}/log`, 'utf8').trim().split('\n').at(-1)}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      running.delete(child)
    },
    stop: (signal) => void child!.kill(signal),
    async command(command) {
      const client = createClient({ url: `redis://127.0.0.1:${port}` })
      await client.connect()
      try {
        return await client.sendCommand([...command])
      } finally {
        client.destroy()
      }
    },
  }
  await server.start()
  return server
}

/** Whether the server is up and has read its files. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.write('PING\r\n'))
    socket.on('data', (bytes) => {
      resolve(/^(\+PONG|-NOAUTH)/.test(`${bytes}`))
      socket.destroy()
    })
  })
}
