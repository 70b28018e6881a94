import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../server/programs.ts'
import { cleanUp, folder } from '../server/server.ts'
import { manifest, pack } from './project.ts'

const KIB = 1024

let tarball: string
let place: string
let files: string[]

beforeAll(async () => {
  tarball = await pack()
  place = folder()
  await run('tar', ['-xzf', tarball, '-C', place], place)
  files = globSync('**/*', { cwd: join(place, 'package') }).filter((file) => /\.\w+$|LICENSE/.test(file))
}, 120_000)
afterAll(cleanUp)

const textOf = (file: string) => readFileSync(join(place, 'package', file), 'utf8')

test('the package holds its build, the sources that source maps name, the page and its papers, and nothing of the tests', () => {
  const parts = new Set(files.map((file) => file.split('/')[0]))
  expect([...parts].sort()).toEqual(['LICENSE', 'README.md', 'SECURITY.md', 'dist', 'package.json', 'public', 'src'])
  expect(files.filter((file) => /test|\.tsbuildinfo|\.env|\.db/.test(file))).toEqual([])
  expect(files.filter((file) => file.startsWith('dist/') && !/\.(js|d\.ts)(\.map)?$/.test(file))).toEqual([])
})

test('the guides to which the README leads are in the package, except for those of the repository itself', () => {
  const links = [...textOf('README.md').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path!)
  const guides = links.filter((path) => !/^(test|\.github)\b/.test(path))
  expect(guides.length).toBeGreaterThan(10)
  for (const path of guides) expect([path, existsSync(join(place, 'package', path))]).toEqual([path, true])
})

test('the package is small', () => {
  expect(statSync(tarball).size).toBeLessThan(900 * KIB)
})

test('every file that exports names is in the package, with the types first', () => {
  for (const [name, conditions] of Object.entries(manifest.exports)) {
    const targets = typeof conditions === 'string' ? [conditions] : Object.values(conditions)
    for (const target of targets)
      expect([name, target, existsSync(join(place, 'package', target))]).toEqual([name, target, true])
    if (typeof conditions !== 'string') expect(Object.keys(conditions)[0]).toBe('types')
  }
})

test('every module with code of its own, and every declaration, has a source map that leads to sources in the package', () => {
  const built = files.filter((file) => /^dist\/.*\.(js|d\.ts)$/.test(file) && !isPassing(file))
  expect(built.length).toBeGreaterThan(200)
  for (const file of built) {
    const [, map] = /^\/\/# sourceMappingURL=(\S+)$/m.exec(textOf(file)) ?? []
    expect([file, map]).toEqual([file, `${file.split('/').at(-1)}.map`])
    for (const source of sourcesOf(file))
      expect([file, existsSync(join(place, 'package', dirname(file), source))]).toEqual([file, true])
  }
})

test('the build is few modules, and holds every source once: subpaths share their classes and the store', () => {
  const modules = files.filter((file) => /^dist\/.*\.js$/.test(file))
  expect(modules.length).toBeLessThan(70)
  const sources = modules
    .filter((file) => !isPassing(file))
    .flatMap((file) => sourcesOf(file).map((source) => join(dirname(file), source)))
  expect(sources).toContain('src/store.ts')
  expect(sources.toSorted()).toEqual([...new Set(sources)].sort())
})

/** Whether a module only passes exports of others on. */
function isPassing(file: string): boolean {
  return file.endsWith('.js') && !/^(?!import |export |$)/m.test(textOf(file))
}

function sourcesOf(file: string): readonly string[] {
  return (JSON.parse(textOf(`${file}.map`)) as { sources: string[] }).sources
}
