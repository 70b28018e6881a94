import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'

/** Which layers may import which; a folder stands for its files, and all layers may import errors, topic, prefix, turn, gone and sequence. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'src/errors.ts': [],
  'src/topic.ts': ['src/errors.ts'],
  'src/prefix.ts': [],
  'src/turn.ts': [],
  'src/client-gone.ts': [],
  'src/sequence.ts': [],
  'src/log': ['src/log'],
  'src/hub': ['src/hub', 'src/log/log.ts'],
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
  'src/routes': ['src/routes', 'src/hub', 'src/auth', 'src/log/log.ts'],
  'src/app.ts': ['src/routes', 'src/auth', 'src/hub', 'src/config', 'src/requests.ts'],
  'src/requests.ts': [],
  // The front door imports what it re-exports, and provides the files of the page on runtimes with a file system.
  'src/index.ts': [
    'src/app.ts',
    'src/store.ts',
    'src/config',
    'src/hub',
    'src/log',
    'src/routes/core.ts',
    'src/routes/door.ts',
    'src/adapters/files.ts',
  ],
  'src/cli': ['src/auth'],
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
  ],
}

const forAll = [
  'src/errors.ts',
  'src/topic.ts',
  'src/prefix.ts',
  'src/turn.ts',
  'src/client-gone.ts',
  'src/sequence.ts',
]

const packages: Readonly<Record<string, readonly string[]>> = {
  hono: ['src/app.ts', 'src/requests.ts', 'src/routes', 'src/auth', 'src/adapters'],
  '@hono/node-server': ['src/adapters'],
  jose: ['src/auth', 'src/cli'],
  'ipaddr.js': ['src/auth'],
  valibot: ['src/config', 'src/routes', 'src/auth'],
  'eventsource-parser': ['src/routes'],
  '@redis/client': ['src/adapters'],
  '@valibot/to-json-schema': ['src/routes'],
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
