import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** How to run the hub on a runtime. */
export interface Runtime {
  readonly name: string
  /** The command line for a server; it contains the settings if the runtime does not read them from the environment. */
  command(settings: Readonly<Record<string, string>>, args: readonly string[]): readonly string[]
  /** The line printed when it listens, with the port. */
  readonly listens: RegExp
  /** The command line of the serving process, if that is not the one started. */
  readonly serves?: RegExp
  /** Settings beside those of a test. */
  readonly settings?: Readonly<Record<string, string>>
}

const root = join(import.meta.dirname, '..', '..')
const bin = (name: string) => join(root, 'node_modules', '.bin', name)
const adapter = (name: string) => join(root, 'src', 'adapters', `${name}.ts`)
const listens = /^Tidings listens on http:\/\/\S+:(\d+) .*$/m

export const node: Runtime = {
  name: 'Node',
  command: (_, args) => [process.execPath, adapter('node'), ...args],
  listens,
}

export const bun: Runtime = {
  name: 'Bun',
  command: (_, args) => [bin('bun'), adapter('bun'), ...args],
  listens,
}

export const deno: Runtime = {
  name: 'Deno',
  command: (_, args) => [bin('deno'), 'run', '-A', '--unstable-no-legacy-abort', adapter('deno'), ...args],
  listens,
}

/** A Worker and its Durable Object in workerd, started by wrangler; its data is stored beside the file of `LOG`. */
export function wranglerDev(config: string): Runtime {
  return {
    name: 'workerd',
    command({ PORT = '0', LOG = '', ...settings }) {
      const folder = join(dirname(LOG.replace(/^sqlite:/, '')), 'worker')
      mkdirSync(folder, { recursive: true })
      const vars = Object.entries(settings).flatMap(([name, value]) => ['--var', `${name}:${value}`])
      return [
        ...[process.execPath, join(root, 'node_modules', 'wrangler', 'bin', 'wrangler.js'), 'dev'],
        ...['--config', config, '--ip', '127.0.0.1', '--port', PORT, '--inspector-port', '0'],
        ...['--env-file', '/dev/null'], // not the secrets in .dev.vars of who runs the tests
        ...['--persist-to', folder, '--show-interactive-dev-session=false', ...vars],
      ]
    },
    listens: /Ready on http:\/\/\S+:(\d+)/,
    serves: /workerd serve .*--socket-addr=entry=\S+:0 /, // the one on PORT is wrangler's own proxy
  }
}

export const worker = wranglerDev(join(root, 'wrangler.toml'))

/** The runtimes that keep their log in an SQLite file. */
export const servers = [node, bun, deno]

export const runtimes = [...servers, worker]

/** The same servers with the portable carrier of streams. */
export const portable = { node: streaming(node), bun: streaming(bun), deno: streaming(deno) }

/** A runtime with the portable carrier of streams. */
export function streaming(runtime: Runtime): Runtime {
  return { ...runtime, name: `${runtime.name}, CARRIER=stream`, settings: { CARRIER: 'stream' } }
}
