import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { soak } from '../seed.ts'
import { install, run } from '../server/programs.ts'
import { cleanUp, folder } from '../server/server.ts'
import { forHooks, Project, pack, subpaths } from './project.ts'

const root = join(import.meta.dirname, '..', '..')
const unreachable = 'the npm registry cannot be reached'

let tarball: string
let project: Project | undefined
let tools: string | undefined

beforeAll(async () => {
  tarball = await pack()
  project = await Project.make(tarball, '@types/node@26.6.6', ...forHooks)
  const place = folder()
  if (await install('package/tools', place)) tools = join(place, 'node_modules')
}, 300_000)
afterAll(cleanUp)

/** A program that uses the types of every subpath. */
const program = `
import app, { AppError, createApp, Filter, Hub, memoryLog, parseConfig, type Entry, type Log, type Message } from 'tidings'
${subpaths.map((name, i) => `import * as subpath${i} from '${name}'`).join('\n')}

export const hub: Hub = new Hub(memoryLog)
export const response: Response | Promise<Response> = createApp({ hub, config: parseConfig({ OPEN: 'true' }) }).request('/ready')
export const page: Response | Promise<Response> = app.request('/')
export const message: Message = { topic: 'a', data: 'text' }
export const filter: Filter = Filter.parse(['a/*'])
export const seqOf = (entry: Entry): number => entry.seq
export const isOurs = (error: unknown): boolean => error instanceof AppError
export const close = (log: Log): Promise<void> => log.close()
// @ts-expect-error a hub is not made of a text
export const wrong = new Hub('memory:')
export const used = [${subpaths.map((_, i) => `subpath${i}`)}]
`

/** The same from a module of CommonJS, which TypeScript knows to load ES modules where Node does. */
const commonJs = `
import tidings = require('tidings')
import node = require('tidings/node')

export const hub: tidings.Hub = new tidings.Hub(tidings.memoryLog)
export const serve: (config: tidings.Config) => Promise<{ readonly url: string }> = node.serve
`

const compilers = {
  'TypeScript 7': () => join(root, 'node_modules', '.bin', 'tsc'),
  'TypeScript 5.9': () => tools && join(tools, '.bin', 'tsc'),
}

describe.each(['nodenext', 'bundler'])('a project with moduleResolution %s', (resolution) => {
  test.for(Object.keys(compilers) as (keyof typeof compilers)[])(
    'compiles with %s, which checks our declarations too',
    { timeout: 180_000 }, // TypeScript 5.9 checks the declarations of Vue too
    async (name, { skip }) => {
      skip(name === 'TypeScript 5.9' && resolution === 'bundler' && !soak, 'checks what three others check: SOAK=1')
      const tsc = compilers[name]()
      if (!project || !tsc) return skip(unreachable)
      project.write('program.mts', program)
      const files = resolution === 'nodenext' ? ['program.mts', 'program.cts'] : ['program.mts']
      files.push('cloudflare.d.ts')
      project.write('program.cts', commonJs)
      // A Worker's project has these types from Cloudflare.
      project.write('cloudflare.d.ts', readFileSync(join(root, 'src/adapters/cloudflare-workers.d.ts'), 'utf8'))
      const compilerOptions = {
        ...{ target: 'es2024', lib: ['es2024', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'] },
        ...{ module: resolution === 'bundler' ? 'esnext' : 'nodenext', moduleResolution: resolution },
        ...{ strict: true, skipLibCheck: false, noEmit: true, types: ['node'], exactOptionalPropertyTypes: true },
      }
      project.write('tsconfig.json', JSON.stringify({ compilerOptions, files }))
      expect(await run(tsc, ['-p', '.'], project.path)).toEqual({ code: 0, output: '' })
    },
  )
})

test('publint finds nothing', async ({ skip }) => {
  if (!tools) return skip(unreachable)
  const { code, output } = await run(
    process.execPath,
    [join(tools, 'publint', 'src', 'cli.js'), tarball, '--strict'],
    root,
  )
  expect([code, output]).toEqual([0, expect.stringContaining('All good!')])
})

test('Are the types wrong? finds nothing for ES modules, which require() loads on the Nodes that engines permits', async ({
  skip,
}) => {
  if (!tools) return skip(unreachable)
  const args = [
    join(tools, '@arethetypeswrong', 'cli', 'dist', 'index.js'),
    tarball,
    '--profile',
    'esm-only',
    '--no-emoji',
  ]
  const { code, output } = await run(process.execPath, args, root)
  expect([code, output]).toEqual([0, expect.stringContaining('OK (ESM)')])
})
