import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import app from '../../src/index.ts'

const KIB = 1024

/** The bytes of a module as the hub serves it, which is as it stands in `public/`. */
async function served(name: string): Promise<Buffer> {
  const response = await app.request(`/${name}`)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8'])
  const bytes = Buffer.from(await response.arrayBuffer())
  expect(bytes).toEqual(readFileSync(join(import.meta.dirname, '..', '..', 'public', name)))
  return bytes
}

test('the client has at most 6 KiB, gzipped', async () => {
  expect(gzipSync(await served('client.js'), { level: 9 }).byteLength).toBeLessThanOrEqual(6 * KIB)
})

test('the sharing of one stream by all tabs, which is loaded on demand, has at most 6 KiB more', async () => {
  expect(gzipSync(await served('client-tabs.js'), { level: 9 }).byteLength).toBeLessThanOrEqual(6 * KIB)
})

test('the client waits without Promise.withResolvers, which Node 20 and Safari 17.3 lack', async () => {
  expect(`${await served('client.js')}`).not.toContain('withResolvers')
})

test('the client imports nothing but the sharing of the tabs, and that only on demand', () => {
  const text = (name: string) => readFileSync(join(import.meta.dirname, '..', '..', 'public', name), 'utf8')
  const importsOf = (name: string) =>
    [...text(name).matchAll(/^import .*from '([^']+)'|^export .*from '([^']+)'|[^@.]\bimport\('([^']+)'\)/gm)].map(
      ([found]) => found.trim(),
    )
  expect(importsOf('client.js')).toEqual(["import('./client-tabs.js')"])
  expect(importsOf('client-tabs.js')).toEqual(["import { backoffMs, matches, TidingsError } from './client.js'"])
})
