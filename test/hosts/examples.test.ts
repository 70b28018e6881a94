import { spawnSync } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { cleanUp, folder } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')
afterAll(cleanUp)

interface Export {
  readonly name: string
  readonly file: string
}

const sourceOf = (file: string) => readFileSync(join(root, file), 'utf8')

/** What a file exports from others, by name. */
function exportsOf(file: string): Export[] {
  const found = [...sourceOf(file).matchAll(/^export (type )?\{([^}]*)\} from '([^']+)'/gm)]
  return found.flatMap(([, , names, from]) =>
    names!
      .split(',')
      .map((name) => name.replace(/\btype\b/, '').trim())
      .filter((name) => name !== '')
      .map((name) => ({ name, file: join(dirname(file), from!) })),
  )
}

const library = exportsOf('src/portable.ts')
const exported: Export[] = [
  ...library,
  ...exportsOf('src/adapters/node.ts'),
  { name: 'default', file: 'src/portable.ts' },
  { name: 'default', file: 'src/index.ts' },
]

/** The examples in the docstring of an export. */
function examplesOf({ name, file }: Export): string[] {
  const begin = name === 'default' ? 'default' : `(?:class|function|const|interface|type) ${name}\\b`
  const [, doc = ''] =
    new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\n(?:@\\w+\\n)?export ${begin}`).exec(sourceOf(file)) ?? []
  const text = doc.replace(/^ \* ?/gm, '')
  const tags = text.split(/^@(?=\w+\b)/m).slice(1)
  return tags.filter((tag) => tag.startsWith('example\n')).map((tag) => tag.slice('example\n'.length).trimEnd())
}

/** An example as a module: names of the library that it uses are imported, and `hub`, `log` and `app` stand for those of its reader. */
function moduleOf(example: string): string {
  const isFree = (name: string) =>
    new RegExp(`(?<![.\\w])${name}\\b`).test(example) &&
    !new RegExp(`\\b(?:const|import|function|class|type) (?:\\{[^}]*)?\\b${name}\\b`).test(example)
  const names = [...new Set([...library.map(({ name }) => name), 'Hub', 'Log', 'AppType'])]
  const reader = { hub: 'Hub', log: 'Log', app: 'AppType' }
  const own = Object.entries(reader).filter(([name]) => isFree(name))
  const used = names.filter((name) => isFree(name) || own.some(([, type]) => type === name))
  return [
    `import { ${used.join(', ')} } from 'tidings'`,
    ...own.map(([name, type]) => `declare const ${name}: ${type}`),
    example,
    'export {}',
  ].join('\n')
}

test.each(exported)('$name of $file has an example', (each) => {
  expect(examplesOf(each).length).toBeGreaterThan(0)
})

test('the examples are type-checked', { timeout: 180_000 }, () => {
  const place = folder()
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'))
  for (const [i, each] of exported.entries())
    for (const example of examplesOf(each)) writeFileSync(join(place, `${i}-${each.name}.ts`), moduleOf(example))
  const compilerOptions = {
    paths: { tidings: [join(root, 'src/index.ts')], 'tidings/*': [join(root, 'src/adapters/*.ts')] },
    typeRoots: [join(root, 'node_modules/@types')],
    // Examples leave to their reader what to do with a result, and import types like values.
    ...{ noUnusedLocals: false, verbatimModuleSyntax: false },
  }
  writeFileSync(join(place, 'package.json'), '{"type":"module"}')
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*.ts'] }
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify(config))
  const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: place, encoding: 'utf8' })
  expect(stdout).toBe('')
})
