import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** The part of vitest's JSON report that we use. */
interface Report {
  readonly testResults: readonly {
    /** The path of the file. */
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

export interface FailedTest {
  readonly file: string
  readonly title: string
}

/** The result of a run of tests. */
export interface Outcome {
  /** How many tests ran. */
  readonly ran: number
  /** The first test that failed. A file that cannot be loaded is no failed test. */
  readonly failed: FailedTest | undefined
  /** What is wrong, if the run failed although no test did: a file cannot be loaded, say. */
  readonly broken: string | undefined
}

/** Runs the tests of a copy of the project, as `npm test` does, and nothing of the test run that may have started us. */
export class Tests {
  readonly #folder: string
  #running: ChildProcess | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Runs these files, or without files everything that `npm test` runs, up to the first test that fails. */
  async run(files: readonly string[]): Promise<Outcome> {
    const report = join(this.#folder, 'node_modules', 'report.json')
    rmSync(report, { force: true })
    const vitest = join('node_modules', 'vitest', 'vitest.mjs')
    const options = ['--config', 'test/vitest.config.ts', '--bail', '1', '--reporter', 'json', '--outputFile', report]
    const { code, output } = await this.#node([vitest, 'run', ...options, ...files])
    return outcomeOf(code, output, this.#folder, report)
  }

  /** Returns what the type checker does not accept; an empty text if it accepts everything. */
  async types(): Promise<string> {
    const { code, output } = await this.#node([join('node_modules', 'typescript', 'bin', 'tsc'), '-p', '.'])
    return code === 0 ? '' : output
  }

  /** Ends the run, with every process that it has started. */
  async stop(): Promise<void> {
    const running = this.#running
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, 'exit')
    for (const pid of familyOf(running.pid!)) endProcess(pid)
    await ended
  }

  async #node(args: readonly string[]): Promise<{ code: number | null; output: string }> {
    const environment = Object.entries(process.env).filter(([name]) => !/^(TESTS|NODE_ENV|SOAK|VITEST.*)$/.test(name))
    const running = spawn(process.execPath, args, {
      cwd: this.#folder,
      env: Object.fromEntries(environment),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // Ctrl-C reaches this process alone, which then ends the run
    })
    this.#running = running
    let output = ''
    for (const pipe of [running.stdout, running.stderr])
      pipe.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    const [code] = await once(running, 'close')
    return { code, output }
  }
}

/** A process and all processes below it. A process group would not do: tests start servers as groups of their own. */
function familyOf(pid: number): readonly number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  const processes = stdout.split('\n').map((row) => row.trim().split(/ +/).map(Number))
  const family = [pid]
  for (const parent of family) for (const [child, of] of processes) if (of === parent) family.push(child!)
  return family
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has ended meanwhile.
  }
}

function outcomeOf(code: number | null, output: string, folder: string, report: string): Outcome {
  let files: Report['testResults']
  try {
    files = (JSON.parse(readFileSync(report, 'utf8')) as Report).testResults
  } catch {
    return { ran: 0, failed: undefined, broken: output || `vitest ended with ${code} and without a report` }
  }
  const tests = files.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ status, fullName }) => ({
      status,
      file: name.slice(name.indexOf(folder) + folder.length + 1),
      title: fullName,
    })),
  )
  const failed = tests.find(({ status }) => status === 'failed')
  const ran = tests.filter(({ status }) => status === 'passed' || status === 'failed').length
  const messages = files.map(({ message }) => message).filter((message) => message !== '')
  const broken = failed === undefined && code !== 0 ? messages.join('\n') || output : undefined
  return { ran, failed, broken }
}
