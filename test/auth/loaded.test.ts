import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

/** The program can let jose fail to load, and prints `loaded` when it is loaded. */
const prelude = `import { registerHooks } from 'node:module'
let isBroken = false
registerHooks({
  load(url, context, next) {
    if (!url.endsWith('jose/dist/webapi/index.js')) return next(url, context)
    if (isBroken) throw new Error('EMFILE: too many open files')
    console.log('loaded')
    return next(url, context)
  },
})
process.on('unhandledRejection', (cause) => console.log('unhandled', cause))
const { createApp, Hub, memoryLog, parseConfig } = await import('tidings')
const answer = async (app, path, init) => {
  const response = await app.request('http://localhost' + path, init)
  console.log([response.status, (await response.json()).code].join(' ').trim())
}
const grantOf = () => ({ subject: 'ann', publish: ['a'], subscribe: ['a'], expiresAt: Date.now() + 60_000 })
const host = createApp({ hub: new Hub(memoryLog), grantOf })
`

function shownBy(program: string): string[] {
  const args = ['--conditions=tidings-source', '--input-type=module', '--eval', prelude + program]
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.trim().split('\n')
}

test('a hub without keys, and a host with sessions of its own, publish without loading what verifies tokens', () => {
  const send = `'/send?topic=a', { method: 'POST', body: 'text', headers: { 'content-type': 'text/plain' } }`
  expect(shownBy(`await answer(createApp({ hub: new Hub(memoryLog) }), ${send})\nawait answer(host, ${send})`)).toEqual(
    ['200', '200'],
  )
})

test('a hub with keys loads it before the first token', () => {
  expect(shownBy(`createApp({ hub: new Hub(memoryLog), settings: { authSecret: 'x'.repeat(32) } })`)).toEqual([
    'loaded',
  ])
})

test('a ticket that cannot be made because a module cannot be loaded is answered 503, and the next request tries again', () => {
  const shown = shownBy(`isBroken = true
await answer(host, '/ticket', { method: 'POST' })
isBroken = false
await answer(host, '/ticket', { method: 'POST' })`)
  expect(shown).toEqual(['503 keys_unavailable', 'loaded', '200'])
})

test('a token that cannot be verified because a module cannot be loaded is answered 503, not 401', () => {
  const shown = shownBy(`isBroken = true
const app = createApp({ hub: new Hub(memoryLog), settings: { authSecret: 'x'.repeat(32) } })
await answer(app, '/topics', { headers: { authorization: 'Bearer a.b.c' } })`)
  expect(shown).toEqual(['503 keys_unavailable'])
})
