import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Runtime } from '../../server/runtimes.ts'
import { folder, start as startServer } from '../../server/server.ts'
import { median } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'

const RUNS = 15
const root = join(import.meta.dirname, '..', '..', '..')
const command = join(root, 'dist', 'cli', 'tidings.js')
const counting = join(root, 'test', 'package', 'count-modules.mjs')
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
}

/** The subpaths of the package that Node can import. */
const subpaths = ['tidings', 'tidings/node', 'tidings/sqlite', 'tidings/redis']

/** The yardstick of a start: a server that answers nothing. */
const bare = `import { createServer } from 'node:http'
const server = createServer().listen(0, '127.0.0.1', () => console.log('bare listens on ' + server.address().port))`

const listens = /listens on \D*(\d+)/

/** How a process that listens is started, from which folder that has the package. */
const starts: Readonly<Record<string, { readonly warmUp: string; readonly command: (project: string) => string[] }>> = {
  'a bare node:http server': {
    warmUp: 'false',
    command: () => [process.execPath, '--input-type=module', '--eval', bare],
  },
  'tidings, WARM_UP=false': { warmUp: 'false', command: () => [process.execPath, command] },
  tidings: { warmUp: 'true', command: () => [process.execPath, command] },
  'npx tidings': { warmUp: 'true', command: (project) => ['npm', 'exec', '--prefix', project, '--no', 'tidings'] },
}

export const start: Row = {
  name: 'start',
  says: 'Measures what the package and each dependency cost on a disk and to import in a new process of Node, and how soon a hub listens.',
  async run(progress): Promise<Measurements> {
    progress('build')
    const built = spawnSync('npm', ['run', 'build', '--silent'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
    if (built.status !== 0) throw new Error('Cannot build the package')
    const lines: Line[] = []
    for (const name of [...subpaths, ...Object.keys(dependencies)]) {
      progress(name)
      const imported = `import '${name}'`
      lines.push({
        what: imported,
        KiB: kibOf(name),
        modules: await modulesOf(name),
        ms: await medianOf(msToImport(name)),
      })
    }
    const project = projectWithCommand()
    const listening = Object.fromEntries(Object.keys(starts).map((name) => [name, [] as number[]]))
    for (let run = 1; run <= RUNS; run++)
      for (const [name, { warmUp, command }] of Object.entries(starts)) {
        progress(`start ${run} of ${RUNS}: ${name}`)
        listening[name]!.push(await msToListen(warmUp, command(project)))
      }
    for (const [name, times] of Object.entries(listening))
      lines.push({ what: `${name} listens`, KiB: undefined, modules: undefined, ms: median(times) })
    const of = (name: string) => median(listening[name]!)
    const bareTimes = listening['a bare node:http server']!
    return {
      lines,
      ratios: [
        { of: 'importing the library, in ms', value: lines[0]!.ms, goal: 'under 50' },
        { of: 'npx tidings listens, in ms', value: of('npx tidings'), goal: 'under 1,000' },
        {
          of: 'tidings listens / a bare node:http server listens',
          value: median(listening.tidings!.map((ms, i) => ms / bareTimes[i]!)),
        },
      ],
      notes: [
        `medians of ${RUNS} processes; an import is measured inside its process, a start from outside, with a log on the disk`,
        'KiB: the package as it is on the disk; modules: its own and those of its dependencies, without those of Node',
      ],
    }
  },
}

type Line = Measurements['lines'][number] & { readonly ms: number }

async function medianOf(measure: () => Promise<number>): Promise<number> {
  const measured: number[] = []
  for (let i = 0; i < RUNS; i++) measured.push(await measure())
  return median(measured)
}

function msToImport(name: string): () => Promise<number> {
  const program = `const began = performance.now(); await import('${name}'); console.log(performance.now() - began)`
  return async () => Number(await printedBy('--input-type=module', '--eval', program))
}

async function modulesOf(name: string): Promise<number> {
  const printed = await printedBy('--import', counting, '--input-type=module', '--eval', `import '${name}'`)
  const { 'node:': _, ...counts } = JSON.parse(printed.trim()) as Record<string, number>
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** Runs Node to its end. @returns what it prints */
function printedBy(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, args, { cwd: root })
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.once('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`Cannot run ${args.at(-1)}`))))
  })
}

/** The size of a dependency on the disk; undefined for the package itself, whose folder has the tests too. */
function kibOf(name: string): number | undefined {
  if (!Object.hasOwn(dependencies, name)) return
  const files = readdirSync(join(root, 'node_modules', name), { recursive: true, withFileTypes: true })
  const bytes = files.filter((file) => file.isFile()).map((file) => statSync(join(file.parentPath, file.name)).size)
  return bytes.reduce((sum, size) => sum + size, 0) / 1024
}

/** Makes a folder in which npx finds the command, as after `npm install`. */
function projectWithCommand(): string {
  const project = folder()
  const bin = join(project, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  chmodSync(command, 0o755)
  symlinkSync(command, join(bin, 'tidings'))
  return project
}

async function msToListen(warmUp: string, command: string[]): Promise<number> {
  const runtime: Runtime = { name: command.join(' '), command: () => command, listens }
  const began = performance.now()
  const hub = await startServer({ LOG: `sqlite:${folder()}/hub.db`, WARM_UP: warmUp }, runtime)
  const ms = performance.now() - began
  await hub.kill('SIGTERM')
  return ms
}
