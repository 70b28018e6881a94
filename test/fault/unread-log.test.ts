import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, type Runtime } from '../server/runtimes.ts'
import { cleanUp, folder, freePort, rssOf, withoutProc } from '../server/server.ts'

/** Requests that are logged: two and a half times the lines that a pipe and the hub hold. */
const REQUESTS = 3000
/** A long path, of which the request log shows 200 characters. */
const PATH = `/${'x'.repeat(300)}`

/** A hub, and what makes the reader of its stdout and stderr stop reading. */
interface Hub {
  readonly port: number
  readonly pid: number
  breakReader(): void
}

const started: number[] = []
const open = new Set<number>()

afterEach(async () => {
  for (const pid of started.splice(0)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
  for (const fd of open) closeSync(fd)
  open.clear()
  await cleanUp()
})

/** Starts a hub with these outputs; `wrap` makes a command that runs the hub's own. */
async function hubWith(
  runtime: Runtime,
  stdio: StdioOptions,
  wrap: (command: readonly string[]) => readonly string[] = (command) => command,
): Promise<{ child: ChildProcess; port: number; pid: number }> {
  const port = await freePort()
  const pidFile = join(folder(), 'pid')
  const script = join(folder(), 'hub.sh')
  const quoted = runtime.command({}, []).map((part) => `'${part}'`)
  writeFileSync(script, `echo $$ > ${pidFile}\nexec ${quoted.join(' ')}\n`)
  const [command, ...args] = wrap(['sh', script])
  const child = spawn(command!, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: `${port}`, LOG: 'memory:', WARM_UP: 'false' },
    stdio,
  })
  started.push(child.pid!)
  await expect.poll(() => status(port, '/health').catch(() => 0), { timeout: 15_000, interval: 50 }).toBe(200)
  const pid = Number(readFileSync(pidFile, 'utf8'))
  started.push(pid)
  return { child, port, pid }
}

/** A named pipe, of which this process has both ends. */
function pipe(): { reader: number; writer: number } {
  const path = join(folder(), 'pipe')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, constants.O_WRONLY)
  for (const fd of [reader, writer]) open.add(fd)
  return { reader, writer }
}

function close(fd: number): void {
  closeSync(fd)
  open.delete(fd)
}

const inTerminal = async (runtime: Runtime, signal: NodeJS.Signals): Promise<Hub> => {
  const wrap = (command: readonly string[]) => ['script', '-qfec', command.join(' '), '/dev/null']
  const { child, ...hub } = await hubWith(runtime, 'ignore', wrap)
  return { ...hub, breakReader: () => void child.kill(signal) }
}

/** Outputs whose readers do not read. */
const readers: Readonly<Record<string, (runtime: Runtime) => Promise<Hub>>> = {
  'a terminal that is closed': (runtime) => inTerminal(runtime, 'SIGKILL'),
  'a terminal that is stopped': (runtime) => inTerminal(runtime, 'SIGSTOP'),
  'a pipe whose reader ends': async (runtime) => {
    const { reader, writer } = pipe()
    const hub = await hubWith(runtime, ['ignore', writer, writer])
    close(writer)
    return { ...hub, breakReader: () => close(reader) }
  },
  'a pipe that nobody reads': async (runtime) => {
    const { writer } = pipe()
    return { ...(await hubWith(runtime, ['ignore', writer, writer])), breakReader: () => {} }
  },
  'a socket that nobody reads': async (runtime) => {
    const { child, ...hub } = await hubWith(runtime, ['ignore', 'pipe', 'pipe'])
    return { ...hub, breakReader: () => void [child.stdout!.pause(), child.stderr!.pause()] }
  },
  'a socket whose reader ends': async (runtime) => {
    const { child, ...hub } = await hubWith(runtime, ['ignore', 'pipe', 'pipe'])
    return { ...hub, breakReader: () => void [child.stdout!.destroy(), child.stderr!.destroy()] }
  },
  'a full disk': async (runtime) => {
    const full = openSync('/dev/full', 'w')
    open.add(full)
    return { ...(await hubWith(runtime, ['ignore', full, full])), breakReader: () => {} }
  },
}

const agent = new Agent({ keepAlive: true, maxSockets: 20 })

function status(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get({ port, path, agent, timeout: 5000 }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode!))
    })
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error(`No answer to ${path.slice(0, 20)} in 5 s`)))
  })
}

/** Sends requests that are logged, and expects an answer to each. */
async function fillLog(port: number): Promise<void> {
  const answers = await Promise.all(Array.from({ length: REQUESTS }, () => status(port, PATH)))
  expect(answers.filter((code) => code === 404)).toHaveLength(REQUESTS)
}

/** Sends SIGTERM and resolves with the ms until the process was gone. */
async function stop(pid: number): Promise<number> {
  const began = performance.now()
  process.kill(pid, 'SIGTERM')
  while (isAlive(pid) && performance.now() - began < 10_000) await pause(20)
  return performance.now() - began
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe.skipIf(withoutProc !== '')('while nobody reads its output', () => {
  const some = ['a terminal that is closed', 'a pipe that nobody reads', 'a socket whose reader ends']
  const all = Object.keys(readers)
  const kinds = new Map<Runtime, readonly string[]>([
    [
      node,
      part(
        some,
        all.filter((name) => !some.includes(name)),
      ),
    ],
    [bun, part([], all)],
    [deno, part([], all)],
  ])

  describe.each([node, ...part([], [bun, deno])])('a server on $name', (runtime) => {
    test.each(kinds.get(runtime)!)('answers, does not grow, and ends on SIGTERM: %s', async (name) => {
      const { port, pid, breakReader } = await readers[name]!(runtime)
      breakReader()
      await fillLog(port)
      const before = rssOf(pid)
      await fillLog(port)
      expect(await status(port, '/health')).toBe(200)
      expect(rssOf(pid) - before).toBeLessThan(40 * 1024 ** 2)
      expect(await stop(pid)).toBeLessThan(2000)
    })
  })

  test.each(part([node], [bun, deno]))(
    'a server on $name drops lines, and writes their number once when the output is read again',
    async (runtime) => {
      const { reader, writer } = pipe()
      const { port } = await hubWith(runtime, ['ignore', writer, writer])
      await fillLog(port)
      const lines: string[] = []
      let rest = ''
      /** Reads what there is. Returns whether anything read so far matches the pattern. */
      const hasRead = (pattern: RegExp) => {
        const bytes = new Uint8Array(65_536)
        try {
          const text = rest + new TextDecoder().decode(bytes.subarray(0, readSync(reader, bytes)))
          lines.push(...text.split('\n').slice(0, -1))
          rest = text.slice(text.lastIndexOf('\n') + 1)
        } catch {
          // Nothing to read at the moment.
        }
        return lines.some((line) => pattern.test(line))
      }
      await expect.poll(() => hasRead(/Dropped/)).toBe(true)
      await status(port, '/after')
      await expect.poll(() => hasRead(/after/)).toBe(true)
      const parsed = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
      const logged = parsed.filter(({ path }) => path?.startsWith('/x')).length
      const dropped = parsed.filter(({ message }) => message !== undefined)
      expect(dropped).toHaveLength(1)
      expect(logged + Number(/^Dropped (\d+) lines/.exec(dropped[0].message)![1])).toBe(REQUESTS)
      expect(parsed.at(-1)).toMatchObject({ path: '/after' })
    },
  )
})
