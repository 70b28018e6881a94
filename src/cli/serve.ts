import { run } from '../adapters/run.ts'
import type { Command } from './command.ts'
import { EXIT } from './failure.ts'
import { configOption, readSettings, settingOptions } from './settings.ts'

/** `tidings serve`: runs the adapter of the runtime that runs this program. */
export const serve: Command = {
  usage: 'serve [FLAG…]',
  about: `Serves a hub on Node, Bun or Deno, whichever runs this program, until SIGINT or SIGTERM.

Each setting is a flag (--max-readers 100), a variable (MAX_READERS=100) and a line of --config FILE (MAX_READERS=100). Flags win over
variables, and variables over the file.`,
  options: { ...configOption, ...settingOptions() },
  operands: [0, 0],
  examples: [
    'tidings',
    'tidings serve --port 3001 --log memory:',
    'tidings serve --config hub.env --retention-age 30d',
    'tidings serve --host 0.0.0.0 --auth-secret-file secret --trusted-proxies 10.0.0.0/8',
  ],
  async run(given) {
    readSettings(given) // lists mistakes as wrong usage, before the server begins
    await run(await adapter())
    return EXIT.ok
  },
}

async function adapter() {
  if ('Bun' in globalThis) return (await import('../adapters/bun.ts')).serve
  if ('Deno' in globalThis) return (await import('../adapters/deno.ts')).serve
  return (await import('../adapters/node.ts')).serve
}
