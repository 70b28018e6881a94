import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { random } from './random.ts'
import { node, type Runtime } from './runtimes.ts'

export interface Process {
  readonly child: ChildProcess
  readonly pid: number
  /** The output so far, on stdout and stderr. */
  readonly output: string
  /** The exit code, or the signal that ended the process, once all its output has arrived. */
  readonly stopped: Promise<number | NodeJS.Signals>
  /** Sends a signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>
  /** Resolves with the match once the output has one; rejects if the process ends before. */
  says(pattern: RegExp): Promise<RegExpExecArray>
}

export interface Server extends Process {
  readonly url: string
  readonly port: number
  /** The process that serves: the one started, or one that it started. */
  readonly serves: number
  /** Open streams, as `/ready` counts them. */
  readers(): Promise<number>
}

/** A folder that Linux keeps in memory. */
const SHARED_MEMORY = '/dev/shm'

const processes = new Set<Process>()
const folders = new Set<string>()

/** Runs a server with these settings and nothing of the test's own environment. */
export function launch(given: Record<string, string>, args: readonly string[] = [], runtime = node): Process {
  const settings = { ...runtime.settings, ...given }
  const [command, ...rest] = runtime.command(settings, args)
  const child = spawn(command!, rest, {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      WRANGLER_SEND_METRICS: 'false',
      CI: '1',
      NO_COLOR: '1',
      ...(process.env.VITEST && { WARM_UP: 'false' }), // tests start hundreds of servers, most of them short-lived
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group: a runtime started by a tool ends with it
  })
  let output = ''
  const heard = new Set<() => void>()
  for (const pipe of [child.stdout, child.stderr])
    pipe.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const hear of heard) hear()
    })
  const stopped = once(child, 'close').then(([code, signal]) => {
    processes.delete(running)
    for (const hear of heard) hear()
    return code ?? signal
  })
  const running: Process = {
    child,
    pid: child.pid!,
    stopped,
    get output() {
      return output
    },
    kill(signal) {
      signalGroup(child, signal)
      return stopped
    },
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const hear = () => {
          const found = pattern.exec(output)
          if (!found && processes.has(running)) return
          heard.delete(hear)
          if (found) resolve(found)
          else reject(new Error(`The server ended without saying ${pattern}:\n${output}`))
        }
        heard.add(hear)
        hear()
      }),
  }
  processes.add(running)
  return running
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid!, signal)
  } catch {
    // The process has ended already.
  }
}

process.once('exit', () => {
  for (const { child } of processes) signalGroup(child, 'SIGKILL')
})

/** Starts a server and waits until it listens: by default on Node, on a free port, with a log in memory. */
export async function start(settings: Record<string, string> = {}, runtime: Runtime = node): Promise<Server> {
  const place = runtime.serves
    ? { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db` }
    : { PORT: '0', LOG: 'memory:' }
  const running = launch({ ...place, ...settings }, [], runtime)
  const port = Number((await running.says(runtime.listens))[1])
  const url = `http://127.0.0.1:${port}`
  // `running` is not spread, because `output` is a getter.
  return Object.assign(running, {
    port,
    url,
    serves: runtime.serves ? descendant(running.pid, runtime.serves) : running.pid,
    readers: async () => ((await (await fetch(`${url}/ready`)).json()) as { readers: number }).readers,
  })
}

/** The process with this command line that another has started, directly or indirectly. */
function descendant(pid: number, commandLine: RegExp): number {
  const parents = new Map<number, number>()
  for (const entry of readdirSync('/proc').filter((e) => /^\d+$/.test(e))) {
    try {
      const [, parent] = /^\d+ \(.*\) \S (\d+)/.exec(readFileSync(`/proc/${entry}/stat`, 'utf8'))!
      parents.set(Number(entry), Number(parent))
    } catch {
      // The process has ended meanwhile.
    }
  }
  for (const candidate of parents.keys()) {
    let up = candidate
    while (up > 1 && up !== pid) up = parents.get(up) ?? 0
    if (up === pid && commandLine.test(readFileSync(`/proc/${candidate}/cmdline`, 'utf8').replaceAll('\0', ' ')))
      return candidate
  }
  throw new Error(`Cannot find ${commandLine} below process ${pid}`)
}

/** Makes a folder for this test. */
export function folder(place = tmpdir()): string {
  const made = mkdtempSync(join(place, 'tidings-'))
  folders.add(made)
  return made
}

/** Makes a folder in memory, if the machine has one: for measurements that a busy disk must not disturb. */
export function folderInMemory(): string {
  return folder(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir())
}

/** Ends every process that was launched here, by its pid, and removes every folder: for `afterEach`. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...processes].map((running) => running.kill('SIGKILL')))
  for (const made of folders) rmSync(made, { recursive: true, force: true })
  folders.clear()
}

/** One sequence for all calls, so that a port that is still unused is not handed out twice. */
const ports = random(process.pid)

/** Finds a port below those that the kernel gives to clients, so that it is still free when a server restarts on it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = ports.whole(20_000, 32_000)
    const probe = createServer()
    const listens = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!listens) continue
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
}

/** Why tests cannot measure with `/proc`; '' if they can. */
export const withoutProc = existsSync('/proc/self/status') ? '' : 'needs /proc, which only Linux has'

/** Resident memory of a process, in bytes. */
export function rssOf(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

/** Open file descriptors of a process. */
export function fdsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
