import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { install } from '../server/programs.ts'
import { cleanUp, folder } from '../server/server.ts'
import { Project, pack } from './project.ts'

const root = join(import.meta.dirname, '..', '..')
const unreachable = 'the npm registry cannot be reached'
const KIB = 1024

let project: Project | undefined
let tools: string | undefined

beforeAll(async () => {
  project = await Project.make(await pack())
  const place = folder()
  if (await install('package/bundlers', place)) tools = join(place, 'node_modules')
}, 300_000)
afterAll(cleanUp)

/** What a bundled default app answers: the page's path, the store, and a path that does not exist. */
const program = `import app from 'tidings'

async function ask() {
  const statuses = []
  for (const path of ['/', '/send?message=hi', '/none']) statuses.push((await app.request(path)).status)
  console.log(JSON.stringify(statuses))
}
ask()
`

const nodeModule = /^import .*['"]node:|require\(['"]node:/m

/** Bundles an entry with its packages. @returns the bundle's text */
type Bundle = (entry: string, output: string) => Promise<void>

const run = (args: readonly string[]) => project!.run(process.execPath, ...args)
const esbuild =
  (...options: string[]): Bundle =>
  async (entry, output) => {
    const bin = join(root, 'node_modules', 'esbuild', 'bin', 'esbuild')
    await run([bin, entry, '--bundle', '--log-level=error', `--outfile=${output}`, ...options])
  }
const vite =
  (build: string): Bundle =>
  async (entry, output) => {
    project!.write(
      'vite.config.mjs',
      `export default {
  logLevel: 'error',
  ssr: { noExternal: true },
  build: { ${build.replace('ENTRY', JSON.stringify(entry))}, outDir: ${JSON.stringify(join(output, '..'))}, target: 'es2022',
    rollupOptions: { output: { entryFileNames: ${JSON.stringify(output.split('/').at(-1))}, inlineDynamicImports: true } } },
}`,
    )
    await run([join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'])
  }
const rollup =
  (conditions: string): Bundle =>
  async (entry, output) => {
    const config = `import { nodeResolve } from ${JSON.stringify(join(tools!, '@rollup', 'plugin-node-resolve', 'dist', 'es', 'index.js'))}
export default {
  input: ${JSON.stringify(entry)},
  output: { file: ${JSON.stringify(output)}, format: 'es', inlineDynamicImports: true },
  plugins: [nodeResolve({ exportConditions: ${conditions} })],
  external: /^node:/,
  onwarn: (warning) => { throw new Error(warning.message) },
}`
    project!.write('rollup.config.mjs', config)
    await run([join(tools!, 'rollup', 'dist', 'bin', 'rollup'), '--config', 'rollup.config.mjs', '--silent'])
  }

const onNode: Readonly<Record<string, Bundle>> = {
  'esbuild, platform node, ES module': esbuild('--platform=node', '--format=esm'),
  'esbuild, platform node, CommonJS': esbuild(
    '--platform=node',
    '--format=cjs',
    '--log-override:empty-import-meta=silent',
  ),
  'Vite, for a server': vite('ssr: ENTRY'),
  'Rollup, for Node': rollup("['node']"),
}
const portable: Readonly<Record<string, Bundle>> = {
  'esbuild, platform neutral': esbuild('--platform=neutral', '--format=esm'),
  'esbuild, platform browser': esbuild('--platform=browser', '--format=esm'),
  'Vite, for a browser': vite('lib: { entry: ENTRY, formats: ["es"] }'),
  'Rollup, for no platform': rollup('[]'),
}

describe('a bundle of the default app', () => {
  test.for(Object.entries({ ...onNode, ...portable }))(
    'by %s has no page apart from its package, and answers everything else',
    async ([name, bundle], { skip }) => {
      if (!project || !tools) return skip(unreachable)
      const entry = project.write('program.mjs', program)
      const output = join(folder(), name.includes('CommonJS') ? 'bundle.cjs' : 'bundle.mjs')
      await bundle(entry, output)
      expect(await run([output])).toBe('[404,200,404]\n')
      if (Object.hasOwn(portable, name)) expect(readFileSync(output, 'utf8')).not.toMatch(nodeModule)
    },
  )

  test('that runs where the package is installed has the page', async ({ skip }) => {
    if (!project) return skip(unreachable)
    const output = join(project.path, 'bundle.mjs')
    await esbuild('--platform=node', '--format=esm')(project.write('program.mjs', program), output)
    expect(await run([output])).toBe('[200,200,404]\n')
  })

  test('that embeds tidings/node does not serve a hub by itself, although it is the main module', async ({ skip }) => {
    if (!project) return skip(unreachable)
    const program =
      "import { handler } from 'tidings/node'\nconsole.log(typeof handler)\nsetTimeout(process.exit, 1000, 0)\n"
    const output = join(folder(), 'bundle.mjs')
    await esbuild('--platform=node', '--format=esm')(project.write('embedding.mjs', program), output)
    expect(await run([output])).toBe('function\n')
  })

  test('leaves out what a program does not use', async ({ skip }) => {
    if (!project) return skip(unreachable)
    const entry = project.write(
      'filter.mjs',
      "import { Filter } from 'tidings'\nconsole.log(Filter.parse(['a/*']).matches('a/b'))\n",
    )
    const output = join(folder(), 'bundle.mjs')
    await esbuild('--platform=neutral', '--format=esm')(entry, output)
    expect(await run([output])).toBe('true\n')
    expect(readFileSync(output).byteLength).toBeLessThan(30 * KIB)
  })
})

describe('a test runner', () => {
  const body = (from: string) => `${from}
import app, { Hub, memoryLog } from 'tidings'

test('publishes', async () => {
  expect((await app.request('/send?message=hi')).status).toBe(200)
  await new Hub(memoryLog).publish([{ topic: 'a', data: 'text' }])
})
`

  test('Vitest imports it', async ({ skip }) => {
    if (!project) return skip(unreachable)
    project.write(
      'tidings.test.mjs',
      body(`import { expect, test } from ${JSON.stringify(join(root, 'node_modules', 'vitest', 'dist', 'index.js'))}`),
    )
    project.write('vitest.config.mjs', 'export default {}')
    const bin = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    expect(await run([bin, 'run', 'tidings.test.mjs'])).toMatch(/1 passed/)
  })

  test('Jest imports it', async ({ skip }) => {
    if (!project || !tools) return skip(unreachable)
    project.write('jest.test.mjs', body(''))
    project.write(
      'jest.config.json',
      '{ "testMatch": ["**/jest.test.mjs"], "transform": {}, "moduleFileExtensions": ["mjs", "js"] }',
    )
    const args = [
      '--experimental-vm-modules',
      '--no-warnings',
      join(tools, 'jest', 'bin', 'jest.js'),
      '--config',
      'jest.config.json',
    ]
    expect(await run(args)).toMatch(/1 passed/)
  })
})

test('the programs that these tests use are there', () => {
  for (const file of ['esbuild/bin/esbuild', 'vite/bin/vite.js', 'vitest/vitest.mjs'])
    expect([file, existsSync(join(root, 'node_modules', file))]).toEqual([file, true])
})
