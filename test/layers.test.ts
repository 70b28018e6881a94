import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'

/** Which layers may import which; a folder stands for its files, and all layers may import errors, topic, prefix, turn, gone, sequence and version. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'src/errors.ts': [],
  'src/topic.ts': ['src/errors.ts'],
  'src/prefix.ts': [],
  'src/turn.ts': [],
  'src/client-gone.ts': [],
  'src/version.ts': [],
  'src/sequence.ts': [],
  'src/log': ['src/log'],
  'src/hub': ['src/hub', 'src/log/log.ts', 'src/log/runs.ts'],
  // Producers publish and read through the hub, in this process or over HTTP.
  'src/runs': ['src/runs', 'src/hub', 'src/log/log.ts', 'src/log/runs.ts'],
  // An integration is the face of runs for another package.
  'src/integrations': [
    'src/integrations',
    'src/runs',
    'src/hub',
    'src/log/runs.ts',
    'public/client.js',
    'public/client-runs.js',
  ],
  'src/store.ts': ['src/hub', 'src/log/memory.ts'],
  'src/config': [
    'src/config',
    'src/hub',
    'src/log/log.ts',
    'src/auth/clients.ts',
    'src/auth/options.ts',
    'src/auth/address.ts',
  ],
  // src/auth stores revocations and used tickets in the hub.
  'src/auth': ['src/auth', 'src/config', 'src/hub', 'src/log/log.ts'],
  'src/routes': ['src/routes', 'src/hub', 'src/runs', 'src/auth', 'src/log/log.ts', 'src/log/runs.ts'],
  'src/app.ts': ['src/routes', 'src/auth', 'src/hub', 'src/config', 'src/requests.ts'],
  'src/requests.ts': [],
  // The front door imports what it re-exports, and provides the files of the page on runtimes with a file system.
  'src/portable.ts': [
    'src/runs',
    'src/app.ts',
    'src/store.ts',
    'src/config',
    'src/hub',
    'src/log',
    'src/auth/sessions.ts',
    'src/routes/app-schema.ts',
    'src/routes/core.ts',
    'src/routes/door.ts',
  ],
  'src/index.ts': ['src/portable.ts', 'src/app.ts', 'src/store.ts', 'src/adapters/files.ts'],
  'src/cli': ['src/cli', 'src/adapters', 'src/config', 'src/auth', 'src/routes/names.ts', 'src/log'],
  'src/adapters': [
    'src/adapters',
    'src/index.ts',
    'src/store.ts',
    'src/app.ts',
    'src/config',
    'src/auth',
    'src/requests.ts',
    'src/hub',
    'src/log',
    'src/routes/page.ts',
    'src/routes/connection.ts',
    // The Worker answers in the place of an object that fails.
    'src/routes/later.ts',
    'src/routes/problem.ts',
    'src/routes/poll.ts',
  ],
}

const forAll = [
  'src/errors.ts',
  'src/topic.ts',
  'src/prefix.ts',
  'src/turn.ts',
  'src/client-gone.ts',
  'src/sequence.ts',
  'src/version.ts',
]

const packages: Readonly<Record<string, readonly string[]>> = {
  hono: ['src/app.ts', 'src/requests.ts', 'src/routes', 'src/auth', 'src/adapters'],
  '@hono/node-server': ['src/adapters'],
  jose: ['src/auth', 'src/cli'],
  'ip-bigint': ['src/auth'],
  valibot: ['src/config', 'src/routes', 'src/auth', 'src/cli'],
  'eventsource-parser': ['src/routes', 'src/cli', 'src/integrations/ai-sdk'],
  '@redis/client': ['src/adapters'],
  '@valibot/to-json-schema': ['src/routes'],
  react: ['src/integrations'],
  vue: ['src/integrations'],
}

const RUNTIME = /^(node|bun|cloudflare|deno):/

const files = globSync('src/**/*.ts', { cwd: join(import.meta.dirname, '..') })

const importsOf = (file: string) => {
  const source = readFileSync(join(import.meta.dirname, '..', file), 'utf8')
  const names = String.raw`(?:type\s+)?(?:\{[^}]*\}|\*(?:\s+as\s+\w+)?|\w+)`
  const statement = new RegExp(
    String.raw`^(?:import|export)\s+(?:${names}\s+from\s+)?'([^']+)'|\bimport\('([^']+)'\)`,
    'gm',
  )
  return [...source.matchAll(statement)].map(([, from, lazily]) => (from ?? lazily)!)
}
const isIn = (file: string, place: string) => file === place || file.startsWith(`${place}/`)

describe('imports point down only', () => {
  test('the test finds files and imports', () => {
    expect(files.length).toBeGreaterThan(20)
    expect(files.flatMap(importsOf).length).toBeGreaterThan(60)
  })

  test.each(files)('%s', (file) => {
    const layer = Object.keys(allowed).find((place) => isIn(file, place))
    expect(layer, 'a file that belongs to no layer').toBeDefined()
    for (const from of importsOf(file)) {
      if (from.startsWith('.')) {
        const target = normalize(join(dirname(file), from))
        const targets = [...allowed[layer!]!, ...(layer === 'src/errors.ts' ? [] : forAll)]
        expect(
          targets.some((place) => isIn(target, place)),
          `${file} imports ${target}`,
        ).toBe(true)
      } else if (RUNTIME.test(from)) {
        expect(isIn(file, 'src/adapters') || isIn(file, 'src/cli'), `${file} imports ${from}`).toBe(true)
      } else {
        const name = from
          .split('/')
          .slice(0, from.startsWith('@') ? 2 : 1)
          .join('/')
        expect(
          packages[name]?.some((place) => isIn(file, place)),
          `${file} imports ${from}`,
        ).toBe(true)
      }
    }
  })

  test('no file outside the adapters and the CLI uses Bun, Deno or process by name', () => {
    for (const file of files.filter((name) => !isIn(name, 'src/adapters') && !isIn(name, 'src/cli')))
      expect(readFileSync(join(import.meta.dirname, '..', file), 'utf8')).not.toMatch(
        /\b(Bun|Deno|process)\.\w|typeof (Bun|Deno|process)/,
      )
  })

  test('importing the front door uses no timer, no randomness and no clock', async () => {
    const calls: string[] = []
    const { setInterval, setTimeout } = globalThis
    const { random } = Math
    const { now } = Date
    const { getRandomValues } = crypto
    const noted = <T>(name: string, original: T): T =>
      ((...given: unknown[]) => {
        if (new Error().stack?.includes('/src/')) calls.push(name)
        return (original as (...given: unknown[]) => unknown)(...given)
      }) as T
    globalThis.setInterval = noted('setInterval', setInterval)
    globalThis.setTimeout = noted('setTimeout', setTimeout)
    Math.random = noted('random', random)
    Date.now = noted('now', now)
    crypto.getRandomValues = noted('getRandomValues', getRandomValues.bind(crypto))
    try {
      await import('../src/index.ts')
    } finally {
      Object.assign(globalThis, { setInterval, setTimeout })
      Object.assign(Math, { random })
      Object.assign(Date, { now })
      Object.assign(crypto, { getRandomValues })
    }
    expect(calls).toEqual([])
  })
})
