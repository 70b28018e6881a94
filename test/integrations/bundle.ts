import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../server/programs.ts'
import { folder } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')

/** Bundles a program of a page, which imports `tidings/…`, with its packages into one script. */
export async function bundle(program: string): Promise<string> {
  const place = folder()
  const entry = join(place, 'program.js')
  writeFileSync(entry, program)
  const esbuild = join(root, 'node_modules', 'esbuild', 'bin', 'esbuild')
  const output = join(place, 'bundle.js')
  const { code, output: said } = await run(
    process.execPath,
    [
      ...[esbuild, entry, '--bundle', '--format=iife', `--outfile=${output}`, '--log-level=error'],
      ...['--conditions=tidings-source', '--define:process.env.NODE_ENV="development"', `--alias:tidings=${root}`],
    ],
    root,
    { NODE_PATH: join(root, 'node_modules') }, // the program is in a folder without packages
  )
  if (code !== 0) throw new Error(`Cannot bundle: ${said}`)
  return readFileSync(output, 'utf8')
}
