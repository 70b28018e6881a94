import { spawnSync } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
// The compiler's API is not stable: a new version of TypeScript may change it.
import { API, SymbolFlags } from 'typescript/unstable/sync'
import { afterAll, expect, test } from 'vitest'
import { manifest } from '../package/project.ts'
import { cleanUp, folder } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')
afterAll(cleanUp)

interface Export {
  readonly subpath: string
  readonly name: string
  readonly doc: string
  readonly examples: readonly string[]
}

/** Each subpath that has types, and the file that declares what it exports. */
const subpaths = Object.entries(manifest.exports).flatMap(([name, to]) => {
  if (typeof to === 'string') return []
  const file = to['tidings-source'].endsWith('.ts') ? to['tidings-source'] : to.types
  return { subpath: name.replace(/^\./, 'tidings'), file: join(root, file) }
})
/** `tidings` has another default where there is no file system. */
const entries = [...subpaths, { subpath: 'tidings', file: join(root, 'src/portable.ts') }]

const project = folder()
symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'))
write('package.json', '{"type":"module"}')
write(
  'tsconfig.json',
  JSON.stringify({
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      paths: Object.fromEntries(subpaths.map(({ subpath, file }) => [subpath, [file]])),
      typeRoots: [join(root, 'node_modules/@types')],
      // Examples leave to their reader what to do with a result, and import types like values.
      ...{ noUnusedLocals: false, verbatimModuleSyntax: false },
    },
    files: entries.map(({ file }) => file),
    include: ['*.ts'],
  }),
)

function write(file: string, text: string): void {
  writeFileSync(join(project, file), text)
}

/** What the subpaths export, as the compiler sees it. */
function allExports(): Export[] {
  const api = new API({ cwd: project })
  const snapshot = api.updateSnapshot({ openProjects: [join(project, 'tsconfig.json')] })
  const { program, checker } = snapshot.getProjects()[0]!
  const found = new Map<string, Export>()
  for (const { subpath, file } of entries) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!
    for (const each of checker.getExportsOfModule(module)) {
      const symbol = each.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each
      const examples = symbol.getJsDocTags(checker).filter(({ name }) => name === 'example')
      found.set(`${subpath} ${symbol.id}`, {
        ...{ subpath, name: each.name, doc: symbol.getDocumentationComment(checker) },
        examples: examples.map(({ text = '' }) => text).filter((text) => text !== ''),
      })
    }
  }
  api.close()
  return [...found.values()]
}

const exported = allExports()
const namesOf = (subpath: string) => exported.filter((each) => each.subpath === subpath).map(({ name }) => name)

/**
 * An example as a module. It imports what the example uses of its subpath, and of `tidings` or, in a page, `tidings/client`; `hub`, `log`
 * and `app` stand for those of its reader.
 */
function moduleOf(subpath: string, example: string): string {
  const isFree = (name: string) =>
    new RegExp(`(?<![.\\w])${name}\\b`).test(example) &&
    !new RegExp(`\\b(?:const|import|function|class|type) (?:[\\w, ]*\\{[^}]*)?\\b${name}\\b`).test(example)
  const isInPage = /^tidings\/(client|react|vue)/.test(subpath)
  const base = isInPage ? 'tidings/client' : 'tidings'
  const from = new Map([base, subpath].flatMap((from) => namesOf(from).map((name) => [name, from])))
  const reader = { hub: isInPage ? 'Client' : 'Hub', log: 'Log', app: 'AppType' }
  const own = Object.entries(reader).filter(([name]) => isFree(name))
  const used = [...from].filter(
    ([name]) => name !== 'default' && (isFree(name) || own.some(([, type]) => type === name)),
  )
  return [
    ...used.map(([name, from]) => `import { ${name} } from '${from}'`),
    ...own.map(([name, type]) => `declare const ${name}: ${type}`),
    example,
    'export {}',
  ].join('\n')
}

test('every export of every subpath has a docstring with an example', () => {
  const without = exported.filter(({ doc, examples }) => doc === '' || examples.length === 0)
  expect(without.map(({ subpath, name }) => `${name} of ${subpath}`)).toEqual([])
  expect(new Set(exported.map(({ subpath }) => subpath))).toEqual(new Set(subpaths.map(({ subpath }) => subpath)))
})

test('the examples are type-checked', { timeout: 180_000 }, () => {
  for (const [i, { subpath, name, examples }] of exported.entries())
    for (const [j, example] of examples.entries())
      write(`${subpath.replace('/', '-')}-${name}-${i}-${j}.ts`, moduleOf(subpath, example))
  const tsc = join(root, 'node_modules/.bin/tsc')
  const { stdout, status } = spawnSync(tsc, ['-p', '.'], { cwd: project, encoding: 'utf8' })
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 })
})
