import { afterEach, expect, test, vi } from 'vitest'
import type { Grant } from '../../src/auth/authorize.ts'
import { Revocations } from '../../src/auth/revocations.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'

const MAX_TOKEN_MS = 1000
/** Revocations that are kept whatever their age. */
const KEPT = 10_000

afterEach(() => void vi.useRealTimers())

function grantOf(more: { subject?: string; id?: string }) {
  return { publish: [], subscribe: [], issuedAt: 0, source: 'secret:x', ...more }
}

function keyGrantOf(name: string) {
  return { publish: [], subscribe: [], subject: name, source: `api:${name}:hash` }
}

async function isRevoked(revocations: Revocations, grant: Grant): Promise<boolean> {
  return (await revocations.reasonFor(grant)) !== undefined
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
    expect(await isRevoked(all, grantOf({ id: 'stolen' }))).toBe(true)
    expect(await isRevoked(all, grantOf({ subject: 'thief' }))).toBe(true)
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
  expect(await isRevoked(revocations, { ...grantOf({ subject: 'thief' }), issuedAt: now - 1000 })).toBe(true)
  await hub.close()
})

test('of more than 10,000 revocations the oldest that nothing needs are dropped, but not that of a configured API key', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const hub = new Hub(memoryLog)
  const revocations = new Revocations(hub, MAX_TOKEN_MS, (key) => key === 'script')
  await revocations.revoke({ key: 'script' })
  await revocations.revoke({ key: 'gone' })
  for (let i = 0; i < KEPT; i++) {
    vi.setSystemTime(Date.now() + 1)
    await revocations.revoke(i % 2 === 0 ? { sub: `user ${i}` } : { jti: `user ${i}` })
  }
  expect(await isRevoked(revocations, grantOf({ subject: 'user 0' }))).toBe(true) // too many, but all are still needed
  vi.setSystemTime(Date.now() + 1_000_000)
  await revocations.revoke({ sub: 'one more' })
  const revoked = async (name: string) => isRevoked(revocations, grantOf({ subject: name, id: name }))
  expect(await Promise.all(['user 0', 'user 1', 'user 2', 'one more'].map(revoked))).toEqual([false, false, true, true])
  const revokedKey = async (name: string) => isRevoked(revocations, keyGrantOf(name))
  expect(await Promise.all(['script', 'gone'].map(revokedKey))).toEqual([true, false])
  expect(
    (await hub.directory.list({ prefixes: ['$revoked/'], isShown: () => true, after: '', limit: 20_000 })).length,
  ).toBe(KEPT)
  await hub.close()
})

test('a sub and an API key of one name are revoked separately', async () => {
  const hub = new Hub(memoryLog)
  const revocations = new Revocations(hub, MAX_TOKEN_MS, () => true)
  const reasons = () =>
    Promise.all([grantOf({ subject: 'deploy' }), keyGrantOf('deploy')].map((grant) => isRevoked(revocations, grant)))
  await revocations.revoke({ jti: 'deploy' })
  expect(await reasons()).toEqual([false, false])
  await revocations.revoke({ sub: 'deploy' })
  expect(await reasons()).toEqual([true, false])
  await revocations.revoke({ key: 'deploy' })
  expect(await reasons()).toEqual([true, true])
  await hub.close()
})

test('a token of a revoked sub is accepted only if its iat is later than the revocation', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const hub = new Hub(memoryLog)
  const revocations = new Revocations(hub, MAX_TOKEN_MS, () => false)
  const { issuedAt: _, ...undated } = grantOf({ subject: 'ann' })
  expect(await revocations.reasonFor(undated)).toBeUndefined()
  await revocations.revoke({ sub: 'ann' })
  expect(await revocations.reasonFor(undated)).toBe(
    'its sub was revoked, and without iat it may be older than that; issue tokens with iat',
  )
  expect(await revocations.reasonFor({ ...undated, issuedAt: Date.now() })).toBe('it has been revoked')
  expect(await revocations.reasonFor({ ...undated, issuedAt: Date.now() + 1 })).toBeUndefined()
  await hub.close()
})
