import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { launch, type Process } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')
const program = join(root, 'src', 'cli', 'tidings.ts')
const bin = (name: string) => join(root, 'node_modules', '.bin', name)

const commands: Readonly<Record<string, readonly string[]>> = {
  Node: [process.execPath, program],
  Bun: [bin('bun'), program],
  Deno: [bin('deno'), 'run', '-A', '--unstable-no-legacy-abort', program],
}

export interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly cwd?: string
}

function environment(env: Options['env'] = {}): Record<string, string> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env
  return { PATH, HOME, WARM_UP: 'false', ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }), ...env }
}

/** `tidings` as a user of one runtime calls it. */
export class Cli {
  readonly runtime: string
  readonly #command: readonly string[]

  constructor(runtime: string) {
    this.runtime = runtime
    this.#command = commands[runtime]!
  }

  /** The words of a shell that stand for `tidings`. */
  get words(): string {
    return this.#command.map((word) => `'${word}'`).join(' ')
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], { env, input = '', cwd }: Options = {}): Promise<Result> {
    const [file, ...before] = this.#command
    const child = spawn(file!, [...before, ...args], { env: environment(env), cwd, timeout: 30_000 })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.stdin.on('error', () => {}) // a command that reads no stdin may have ended
    child.stdin.end(input)
    const [status] = await once(child, 'close')
    return { status, stdout, stderr }
  }

  /** Starts a command that goes on. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Process {
    return launch(env, args, {
      name: this.runtime,
      command: (_, more) => [...this.#command, ...more],
      listens: /never/,
    })
  }

  /** Runs a script of bash in which `tidings` is this program, in a terminal if asked. */
  shell(script: string, { env, cwd, isTerminal = false }: Options & { isTerminal?: boolean } = {}): Result {
    const text = `tidings() { ${this.words} "$@"; }\n${script}`
    const [file, args] = isTerminal
      ? ['script', ['-qec', `bash -c ${quoted(text)}`, '/dev/null']]
      : ['bash', ['-c', text]]
    const { status, stdout, stderr } = spawnSync(file as string, args as string[], {
      env: { TERM: 'xterm', ...environment(env) },
      cwd,
      encoding: 'utf8',
      timeout: 30_000,
    })
    return { status, stdout, stderr }
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** Why tests cannot run in a terminal; '' if they can. */
export const withoutTerminal =
  spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
    ? ''
    : 'needs script of util-linux, which this machine does not have'
