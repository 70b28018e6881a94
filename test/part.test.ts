import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

/** The files of a list of `vitest.config.ts`, which is read as text because its import would start a build. */
function listed(name: string): string[] {
  const [, items = ''] = new RegExp(`^const ${name}\\b[^=]*= \\[([^\\]]*)\\]`, 'm').exec(
    textOf('test/vitest.config.ts'),
  )!
  return [...items.matchAll(/'([^']+)'/g)].map(([, file]) => file!)
}

/** Whether a file imports `part.ts`, itself or by what it imports. */
function isParted(file: string, seen = new Set<string>()): boolean {
  if (file === 'test/part.ts') return true
  if (seen.has(file) || !file.startsWith('test/') || !existsSync(join(root, file))) return false
  seen.add(file)
  return [...textOf(file).matchAll(/\bfrom '(\.[^']+)'/g)].some(([, to]) =>
    isParted(normalize(join(dirname(file), to!)), seen),
  )
}

test('npm test and npm run test:all together run every part of a file that is divided', () => {
  const divided = globSync('test/**/*.test.ts', { cwd: root }).filter((file) => isParted(file))
  const [inBoth, onlyInRest] = [listed('inBoth'), listed('onlyInRest')]
  expect(inBoth.toSorted()).toEqual(divided.toSorted())
  for (const file of [...inBoth, ...onlyInRest]) expect([file, existsSync(join(root, file))]).toEqual([file, true])
  expect(onlyInRest.filter((file) => inBoth.includes(file))).toEqual([])
})
