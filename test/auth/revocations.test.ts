import { afterEach, expect, test, vi } from 'vitest'
import { Revocations } from '../../src/auth/revocations.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'

const MAX_TOKEN_MS = 1000
/** Revocations that are kept whatever their age. */
const KEPT = 10_000

afterEach(() => void vi.useRealTimers())

function grantOf(more: { subject?: string; id?: string }) {
  return { publish: [], subscribe: [], issuedAt: 0, ...more }
}

test('a revocation outlives AUTH_MAX_TTL, because a token may have been issued under a longer one', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const hub = new Hub(memoryLog)
  const revocations = new Revocations(hub, MAX_TOKEN_MS, () => false)
  await revocations.revoke({ jti: 'stolen' })
  await revocations.revoke({ sub: 'thief' })
  vi.setSystemTime(Date.now() + 1_000_000)
  await revocations.revoke({ jti: 'another' })
  const others = new Revocations(hub, MAX_TOKEN_MS, () => false) // as after a restart
  for (const all of [revocations, others]) {
    expect(await all.isRevoked(grantOf({ id: 'stolen' }))).toBe(true)
    expect(await all.isRevoked(grantOf({ subject: 'thief' }))).toBe(true)
  }
  await hub.close()
})

test('a second revocation by a node whose clock is behind does not shorten the first', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const hub = new Hub(memoryLog)
  const revocations = new Revocations(hub, MAX_TOKEN_MS, () => false)
  const now = Date.now()
  await revocations.revoke({ sub: 'thief' })
  vi.setSystemTime(now - 10_000)
  await revocations.revoke({ sub: 'thief' })
  expect(await revocations.isRevoked({ ...grantOf({ subject: 'thief' }), issuedAt: now - 1000 })).toBe(true)
  await hub.close()
})

test('of more than 10,000 revocations the oldest needless ones are dropped, but never that of an API key', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const hub = new Hub(memoryLog)
  const revocations = new Revocations(hub, MAX_TOKEN_MS, (sub) => sub === 'script')
  await revocations.revoke({ sub: 'script' })
  for (let i = 0; i < KEPT; i++) {
    vi.setSystemTime(Date.now() + 1)
    await revocations.revoke(i % 2 === 0 ? { sub: `user ${i}` } : { jti: `user ${i}` })
  }
  expect(await revocations.isRevoked(grantOf({ subject: 'user 0' }))).toBe(true) // too many, but all of them are still needed
  vi.setSystemTime(Date.now() + 1_000_000)
  await revocations.revoke({ sub: 'one more' })
  const revoked = async (name: string) => revocations.isRevoked(grantOf({ subject: name, id: name }))
  expect(await Promise.all(['script', 'user 0', 'user 1', 'user 2', 'one more'].map(revoked))).toEqual([
    ...[true, false, false, true, true],
  ])
  expect(
    (await hub.directory.list({ prefixes: ['$revoked/'], isShown: () => true, after: '', limit: 20_000 })).length,
  ).toBe(KEPT)
  await hub.close()
})
