import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { logs } from '../src/adapters/logs.ts'
import { parseConfig } from '../src/config/config.ts'
import { settings } from '../src/config/settings.ts'
import { workerSettings } from '../src/config/worker.ts'
import { notes, table } from './costs/costs.ts'
import { PRICES_OF } from './costs/prices.ts'
import { blocksOf, fileOf, guides, root, textOf } from './recipes/guide.ts'

const linesOf = (guide: string) => textOf(guide).split('\n').length - 1
const withoutCode = (text: string) => text.replace(/^```.*?^```$/gms, '')

test('the README has at most 150 lines, CONTRIBUTING at most 60', () => {
  expect(linesOf('README.md')).toBeLessThanOrEqual(150)
  expect(linesOf('.github/CONTRIBUTING.md')).toBeLessThanOrEqual(60)
})

test('the picture of the README has less than 80,000 bytes', () => {
  expect(readFileSync(join(root, '.github', 'tidings.png')).byteLength).toBeLessThan(80_000)
})

describe.each(guides)('%s', (guide) => {
  const text = withoutCode(textOf(guide))

  test('links to pages, files and headings that exist', () => {
    for (const [link, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue
      const [path, anchor] = target!.split('#')
      const file = path === '' ? guide : normalize(join(dirname(guide), path!))
      expect([link, existsSync(join(root, file))]).toEqual([link, true])
      if (anchor !== undefined) expect([link, headingsOf(file)]).toEqual([link, expect.arrayContaining([anchor])])
    }
  })

  test('names files that exist', () => {
    for (const [, file] of text.matchAll(/`((?:src|test|public)\/[^`\s*]+)`/g))
      expect([file, existsSync(join(root, file!))]).toEqual([file, true])
    const [, table] = /^## In this folder\n\n(.*)/ms.exec(text) ?? []
    for (const [row] of table?.matchAll(/^\| `.*$/gm) ?? [])
      for (const [, name] of row.split(' | ')[0]!.matchAll(/`([^`]+)`/g))
        expect([name, existsSync(join(root, dirname(guide), name!))]).toEqual([name, true])
  })

  test('names settings that exist', () => {
    const names = [
      ...Object.keys(settings),
      ...Object.keys(workerSettings),
      ...Object.keys(settings).map((name) => `${name}_FILE`),
    ]
    const others = [
      'CHROMIUM',
      'FIREFOX',
      'SEED',
      'SOAK',
      'TESTS',
      'TESTS_UNTIL',
      'NODE_OPTIONS',
      'NODE_EXTRA_CA_CERTS',
      'HUBS',
      'HUB',
      'NO_COLOR',
      'TIDINGS_TOKEN',
      'TIDINGS_URL',
      'FILE',
    ]
    for (const [, name] of text.matchAll(/`([A-Z][A-Z_]{2,}[A-Z])(?:=[^`]*)?`/g))
      if (!others.includes(name!) && !name!.startsWith('MALLOC_')) expect(names).toContain(name)
  })
})

describe('the promises', () => {
  const [, ...promises] = textOf('src/hub/README.md').split(/^### (?=P\d )/m)

  test('are seven', () => {
    expect(promises.map((promise) => promise.slice(0, 2))).toEqual(['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7'])
  })

  test.each(promises)('%s', (promise) => {
    const held = [...promise.matchAll(/^- `(test\/\S+)`: (.*)$/gm)]
    expect(held.length).toBeGreaterThan(0)
    for (const [, file, title] of held)
      expect([title, readFileSync(join(root, file!), 'utf8').includes(title!)]).toEqual([title, true])
  })
})

test('every part of src that users meet has a guide', () => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const withGuide = folders.map(({ name }) => name).filter((name) => guides.includes(`src/${name}/README.md`))
  expect(withGuide.sort()).toEqual(['adapters', 'auth', 'cli', 'hub', 'integrations', 'log', 'routes', 'runs'])
})

describe('the compose files', () => {
  const bun = join(root, 'node_modules', '.bin', 'bun')

  test.each(blocksOf('src/adapters/README.md').filter(({ language }) => language === 'yaml'))(
    'of line $line start hubs with settings that are valid, and mount files that the reader has',
    ({ text }) => {
      const parse = 'console.log(JSON.stringify(Bun.YAML.parse(process.env.FILE)))'
      const { stdout } = spawnSync(bun, ['-e', parse], { env: { ...process.env, FILE: text }, encoding: 'utf8' })
      const { services } = JSON.parse(stdout) as { services: Record<string, Service> }
      const hubs = Object.values(services).filter(({ image }) => image.startsWith('node:'))
      expect(hubs.length).toBeGreaterThan(0)
      for (const { command, environment, working_dir } of hubs) {
        expect(existsSync(join(root, command!.split(' ')[1]!))).toBe(true)
        expect(working_dir).toBe('/app')
        expect(environment!.AUTH_SECRET).toMatch(/^\$\{AUTH_SECRET:\?/)
        expect(parseConfig({ ...environment, AUTH_SECRET: 'x'.repeat(32) }, logs).open).toBe(false)
      }
    },
  )
})

test('nginx and Caddy of the guide keep connections to the hub for less time than KEEP_ALIVE; HAProxy has no such time', () => {
  const times = [...textOf('src/adapters/README.md').matchAll(/^\s*(keepalive_timeout|keepalive) (\d+)s/gm)]
  expect(times.map(([, name]) => name)).toEqual(['keepalive_timeout', 'keepalive'])
  for (const [, , seconds] of times) expect(Number(seconds) * 1000).toBeLessThan(parseConfig().keepAliveMs)
})

test.each([
  ['worker.ts', 'src/adapters/WORKERS.md', 'test/adapters/queue-consumer.ts'],
  ['greeter.ts', 'src/adapters/HOSTS.md', 'test/hosts/greeter.ts'],
])('the Worker %s of %s is the one that is tested', (name, guide, tested) => {
  const worker = blocksOf(guide).find((block) => fileOf(block) === name)
  expect(worker?.text).toBe(readFileSync(join(root, tested), 'utf8'))
})

test('the guide to Workers lists the settings that only a Worker has', () => {
  for (const [name, { description, defaultText }] of Object.entries(workerSettings))
    expect(textOf('src/adapters/WORKERS.md')).toContain(`| \`${name}\` | \`${defaultText}\` | ${description} |\n`)
})

test('the costs in the guide to Workers are those that npm run costs prints', () => {
  const guide = textOf('src/adapters/WORKERS.md')
  expect(guide).toContain(table())
  expect(guide).toContain(notes())
  expect(guide).toContain(`the prices of ${PRICES_OF}`)
})

interface Service {
  readonly image: string
  readonly command?: string
  readonly working_dir?: string
  readonly environment?: Record<string, string>
}

/** The anchors that GitHub gives to the headings of a page. */
function headingsOf(file: string): string[] {
  return [...withoutCode(readFileSync(join(root, file), 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  )
}
