import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { readFile } from '../../src/adapters/files.ts'
import { cleanUp, folder } from '../server/server.ts'

afterEach(cleanUp)

const root = join(import.meta.dirname, '..', '..')
const source = join(root, 'src', 'adapters', 'files.ts')

/** Reads `/` with the module as it stands at another place, as in a bundle. */
function readAt(file: string): string {
  const read = `const { readFile } = await import(${JSON.stringify(file)})
console.log(new TextDecoder().decode((await readFile('/'))?.bytes) || 'no page')`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', read], { encoding: 'utf8' })
  return stdout + stderr
}

test('finds the page of the package', async () => {
  expect(new TextDecoder().decode((await readFile('/'))?.bytes)).toContain('<title>')
})

test('in a bundle that runs apart from the package there is no page, and a folder of the host is not taken for it', () => {
  const host = folder()
  mkdirSync(join(host, 'dist', 'server'), { recursive: true })
  mkdirSync(join(host, 'public'))
  writeFileSync(join(host, 'public', 'index.html'), "the host's own page")
  writeFileSync(join(host, 'package.json'), '{"name":"host","type":"module"}')
  copyFileSync(source, join(host, 'dist', 'server', 'files.ts'))
  expect(readAt(join(host, 'dist', 'server', 'files.ts'))).toBe('no page\n')
})

test('a bundle that runs beside node_modules finds the page of the package in it', () => {
  const host = folder()
  mkdirSync(join(host, 'node_modules'))
  writeFileSync(join(host, 'package.json'), '{"name":"host","type":"module"}')
  symlinkSync(root, join(host, 'node_modules', 'tidings'))
  copyFileSync(source, join(host, 'files.ts'))
  expect(readAt(join(host, 'files.ts'))).toContain('<title>')
})

test('a package without its folder public has no page', () => {
  const host = folder()
  mkdirSync(join(host, 'src', 'adapters'), { recursive: true })
  copyFileSync(join(root, 'package.json'), join(host, 'package.json'))
  copyFileSync(source, join(host, 'src', 'adapters', 'files.ts'))
  expect(readAt(join(host, 'src', 'adapters', 'files.ts'))).toBe('no page\n')
})
