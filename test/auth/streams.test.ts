import type { Context } from 'hono'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Auth } from '../../src/auth/auth.ts'
import type { Grant } from '../../src/auth/authorize.ts'
import { parseConfig } from '../../src/config/config.ts'
import { AppError } from '../../src/errors.ts'
import type { EndReason } from '../../src/hub/events.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { SECRET, token } from './suite.ts'

const OTHERS = 500
const filter = Filter.parse(['room'])

/** Reads what is due, and returns whether the stream has ended. */
function hasEnded(subscription: Subscription): boolean {
  while (subscription.read());
  return subscription.ended
}

/** A hub with keys whose grants count how often they are looked at. */
function open() {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  const auth = new Auth(hub, parseConfig({ AUTH_SECRET: SECRET }).auth)
  let looks = 0
  const grantOf = async (claims: object): Promise<Grant> => {
    const text = await token(
      { publish: ['$revoked'], subscribe: ['room'] },
      { iss: undefined, aud: undefined, ...claims },
    )
    const grant = await auth.grantOf(requestWith(`Bearer ${text}`))
    const look = (_: Grant, name: string) => {
      looks++
      return grant[name as keyof Grant]
    }
    return new Proxy(grant, { get: look as never })
  }
  const listen = async (grant: Grant) => {
    const subscription = (await hub.subscribe(filter, { onEnd: (ended) => auth.unwatch(ended) }))!
    await auth.watch(subscription, filter, grant)
    return subscription
  }
  const looksAt = async (act: () => Promise<void>) => {
    looks = 0
    await act()
    return looks
  }
  return { hub, auth, grantOf, listen, looksAt }
}

test('a revocation looks at the streams that it ends, and at no others', async () => {
  const { hub, auth, grantOf, listen, looksAt } = open()
  const admin: Grant = { publish: ['$revoked'], subscribe: [], source: 'secret:admin' }
  const others = await Promise.all(
    Array.from({ length: OTHERS }, async (_, i) => listen(await grantOf({ sub: `other ${i % 7}`, jti: `other ${i}` }))),
  )
  const mine = [
    await listen(await grantOf({ jti: 'mine' })),
    await listen(await grantOf({ sub: 'me', jti: '1' })),
    await listen(await grantOf({ sub: 'me', jti: '2' })),
  ]
  const isEnded = () => mine.map(hasEnded)
  expect(await looksAt(() => auth.revoke(admin, { jti: 'nobody' }))).toBe(0)
  expect(await looksAt(() => auth.revoke(admin, { jti: 'mine' }))).toBeLessThan(20)
  expect(isEnded()).toEqual([true, false, false])
  expect(await looksAt(() => auth.revoke(admin, { sub: 'me' }))).toBeLessThan(40)
  expect(isEnded()).toEqual([true, true, true])
  expect(others.filter(hasEnded)).toEqual([])
  expect(hub.readers).toBe(OTHERS)
})

test('a stream that was renewed ends when its new token is revoked, and not when the former one is', async () => {
  const { auth, grantOf, listen } = open()
  const admin: Grant = { publish: ['$revoked'], subscribe: [], source: 'secret:admin' }
  const subscription = await listen(await grantOf({ sub: 'me', jti: 'former' }))
  const fresh = await grantOf({ sub: 'me', jti: 'fresh' })
  auth.change(auth.streamOf(subscription.stream, fresh), { filter, grant: fresh })
  await auth.revoke(admin, { jti: 'former' })
  expect(hasEnded(subscription)).toBe(false)
  await auth.revoke(admin, { jti: 'fresh' })
  expect(hasEnded(subscription)).toBe(true)
})

test('a stream that has ended is removed from the index: no later revocation looks at it', async () => {
  const { auth, grantOf, listen, looksAt } = open()
  const admin: Grant = { publish: ['$revoked'], subscribe: [], source: 'secret:admin' }
  const grant = await grantOf({ sub: 'me', jti: 'mine' })
  const subscription = await listen(grant)
  const stream = auth.streamOf(subscription.stream, grant)
  subscription.close()
  auth.change(stream, { filter, grant }) // a renewal that was under way
  for (const revoked of [{ jti: 'mine' }, { sub: 'me' }])
    expect(await looksAt(() => auth.revoke(admin, revoked))).toBe(0)
})

test('a stream whose credentials cannot be watched is closed, and is no longer counted', async () => {
  const { hub } = open()
  const ended: EndReason[] = []
  await hub.use(memoryLog(), { events: { ended: (_, why) => ended.push(why) } })
  const config = parseConfig({ AUTH_SECRET: SECRET, MAX_READERS_PER_TOKEN: '1' })
  const auth = new Auth(hub, config.auth)
  const watch = vi.spyOn(auth, 'watch').mockRejectedValueOnce(new AppError('log_unavailable', 'Cannot read the log'))
  const app = createApp({ hub, config, auth })
  const text = await token({ subscribe: ['room'] }, { iss: undefined, aud: undefined, sub: 'me' })
  const ask = () => app.request('/event?topic=room', { headers: { authorization: `Bearer ${text}` } })
  expect((await ask()).status).toBe(503)
  expect([watch.mock.calls.length, hub.readers, ended]).toEqual([1, 0, ['failed']])
  const next = await ask()
  expect([next.status, hub.readers]).toEqual([200, 1])
  await next.body!.cancel()
})

/** The context of a request with this `Authorization`. */
function requestWith(authorization: string): Context {
  return { req: { header: (name: string) => (name === 'authorization' ? authorization : undefined) } } as Context
}
