import { setTimeout as pause } from 'node:timers/promises'
import type { Page, Request } from 'playwright-core'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { SECRET, token } from '../auth/suite.ts'
import { isRest, part } from '../part.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, type Server, start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { foreign } from './foreign.ts'

const { missing, leave, newPage, quit } = chromium
/** The lifetime of a token: long enough for two reconnects on a slow runtime. */
const LIFE_S = isRest ? 8 : 6
const settings = { AUTH_SECRET: SECRET, RETRY: '500ms' }

beforeEach((context) => context.skip(missing !== '', missing))
// Not `afterEach`, because the tests that wait for seconds run concurrently, each with its server and its page.
afterAll(async () => {
  await leave()
  await cleanUp()
  await quit()
})

/** The hub at localhost, which browsers treat as secure without TLS, so that they keep its cookies. */
const urlOf = ({ port }: Server) => `http://localhost:${port}`

async function bearer(...given: Parameters<typeof token>): Promise<string> {
  return `Bearer ${await token(...given)}`
}

/** Opens the hub's own page, without credentials, so that it shows no stream. */
async function visit(hub: Server): Promise<Page> {
  const page = await newPage()
  await page.goto(`${urlOf(hub)}/`)
  return page
}

async function publish({ url }: Server, topic: string, data: string): Promise<void> {
  const response = await fetch(`${url}/send?topic=${topic}`, {
    method: 'POST',
    headers: { authorization: await bearer({ publish: ['**'] }), 'content-type': 'text/plain' },
    body: data,
  })
  expect(response.status).toBe(200)
}

function ticketOf(page: Page, authorization: string): Promise<string> {
  return page.evaluate(async (authorization) => {
    const response = await fetch('/ticket', { method: 'POST', headers: { authorization } })
    return (await response.json()).ticket
  }, authorization)
}

interface Heard {
  opens: number
  readonly data: string[]
  /** The control events received: hub.expiring is expected, the others are not. */
  readonly controls: string[]
}

/** Opens a native EventSource in a page. The page keeps the received events until the next EventSource is opened. */
function listen(page: Page, url: string, init: EventSourceInit = {}): Promise<void> {
  return page.evaluate(
    ({ url, init }) => {
      const source = new EventSource(url, init)
      const heard: Heard = { opens: 0, data: [], controls: [] }
      source.onopen = () => heard.opens++
      source.onmessage = ({ data }) => heard.data.push(data)
      for (const name of ['hub.gap', 'hub.expiring', 'hub.closed'])
        source.addEventListener(name, () => heard.controls.push(name))
      Object.assign(window, { listening: { source, heard } })
    },
    { url, init },
  )
}

function heard(page: Page): Promise<Heard & { readonly readyState: number }> {
  return page.evaluate(() => {
    const { source, heard } = (window as unknown as { listening: { source: EventSource; heard: Heard } }).listening
    return { ...heard, readyState: source.readyState }
  })
}

/** The requests for a stream with a ticket: the page's first one, and the browser's own reconnects. */
function asksOf(page: Page): Request[] {
  const asks: Request[] = []
  page.on('request', (request) => {
    if (request.url().includes('ticket=')) asks.push(request)
  })
  return asks
}

test.concurrent.for(part([node], [bun, deno, worker]))(
  'a native EventSource in Chromium with a ticket reconnects after two lifetimes, misses nothing, and ends with its token, on $name',
  { timeout: 180_000 },
  async (runtime, { expect }) => {
    const hub = await start({ ...settings, LIFETIME: '1s' }, runtime)
    const page = await visit(hub)
    const asks = asksOf(page)
    const exp = Math.floor(Date.now() / 1000) + LIFE_S
    const ticket = await ticketOf(page, await bearer({ subscribe: ['room/*'] }, { sub: 'reader', exp }))
    await listen(page, `/event?topic=room/*&ticket=${ticket}`)
    await expect.poll(() => heard(page)).toMatchObject({ opens: 1 })

    const sent: string[] = []
    let isEnough = false
    const sending = (async () => {
      for (; !isEnough; await pause(10)) {
        await publish(hub, `room/${sent.length % 3}`, `${sent.length}`)
        sent.push(`${sent.length}`)
      }
    })()
    try {
      await expect
        .poll(() => heard(page), { timeout: 15_000 })
        .toSatisfy(({ opens, readyState }: Awaited<ReturnType<typeof heard>>) => opens >= 3 && readyState === 1)
    } finally {
      isEnough = true
      await sending
    }
    await expect.poll(async () => (await heard(page)).data.length).toBe(sent.length)
    const { data, controls } = await heard(page)
    expect(data).toEqual(sent)
    expect([...new Set(controls)]).toEqual(['hub.expiring'])
    const [first, ...returns] = await Promise.all(asks.slice(0, 3).map((request) => request.allHeaders()))
    expect(first).not.toHaveProperty('cookie')
    for (const headers of returns)
      expect(headers).toMatchObject({
        cookie: expect.stringMatching(/^__Secure-tidings-event=\S+$/),
        'last-event-id': expect.stringMatching(/-\d+$/),
      })

    await expect.poll(() => heard(page), { timeout: 15_000, interval: 50 }).toMatchObject({ readyState: 2 })
    expect(Date.now()).toBeGreaterThan(1000 * (exp - 1)) // a cookie's lifetime is in whole seconds
    expect((await asks.at(-1)!.response())!.status()).toBe(401)
    const after = await heard(page)
    expect(after.data).toEqual(sent)
    expect([...new Set(after.controls)]).toEqual(['hub.expiring'])
    // Only the last request was refused.
    expect(asks.length).toBe(after.opens + 1)
  },
)

describe.each(part([node], []))('in Chromium, over $name,', { concurrent: true, timeout: 180_000 }, (runtime) => {
  test('the cookie of a ticket is hidden from scripts, sent to /event only, and useless without its ticket', async ({
    expect,
  }) => {
    const hub = await start({ ...settings, LIFETIME: '1s' }, runtime)
    const page = await visit(hub)
    const asks = asksOf(page)
    const ticket = await ticketOf(page, await bearer({ subscribe: ['room/*'], publish: ['**', '$store'] }))
    await listen(page, `/event?topic=room/*&ticket=${ticket}`)
    await expect.poll(() => heard(page)).toMatchObject({ opens: 2 })
    const { cookie } = await asks[1]!.allHeaders()
    expect(cookie).toMatch(/^__Secure-tidings-event=\S+$/)

    expect(await page.evaluate(() => document.cookie)).toBe('')
    expect(await page.context().cookies()).toEqual([
      expect.objectContaining({
        path: '/event',
        httpOnly: true,
        secure: true,
        sameSite: 'Strict',
        domain: 'localhost',
      }),
    ])
    const answers: Record<string, unknown> = {}
    for (const path of [
      '/event?topic=room/a',
      '/topics',
      '/send?message=x',
      '/ready',
      '/openapi.json',
      '/',
      '/events',
    ]) {
      const [request] = await Promise.all([
        page.waitForRequest(urlOf(hub) + path),
        page.evaluate((path) => fetch(path).then((response) => response.text()), path),
      ])
      const { cookie: sent } = await request.allHeaders()
      answers[path] = [sent === cookie ? 'the cookie' : sent, (await request.response())!.status()]
    }
    expect(answers).toEqual({
      '/event?topic=room/a': ['the cookie', 401],
      '/topics': [undefined, 200], // an empty list
      '/send?message=x': [undefined, 401],
      '/ready': [undefined, 200],
      '/openapi.json': [undefined, 200],
      '/': [undefined, 200],
      '/events': [undefined, 404],
    })
  })

  test('the cookie of a ticket lets no page of another origin read, not even one that knows the ticket', async ({
    expect,
  }) => {
    const hub = await start({ ...settings, REQUEST_LOG: 'all' }, runtime)
    const others = await foreign()
    const page = await visit(hub)
    const url = `${urlOf(hub)}/event?topic=room/*&ticket=${await ticketOf(page, await bearer({ subscribe: ['room/*'] }))}`
    await listen(page, url)
    await expect.poll(() => heard(page)).toMatchObject({ opens: 1 })
    for (const [origin, answer] of [
      [others.otherSite, /"path":"\/event","status":401,"code":"ticket_invalid"/],
      // The browser sends the cookie, because all ports are one site, and only the browser keeps the page from reading.
      [others.sameSite, /"path":"\/event","status":200[\s\S]*"path":"\/event","status":200/],
    ] as const) {
      const theirs = await page.context().newPage() // of the same person, with the same cookies
      await theirs.goto(origin)
      await listen(theirs, url, { withCredentials: true })
      await publish(hub, 'room/a', origin)
      await expect.poll(() => heard(theirs)).toEqual({ opens: 0, data: [], controls: [], readyState: 2 })
      await expect.poll(() => hub.output).toMatch(answer)
    }
    await expect.poll(async () => (await heard(page)).data).toEqual([others.otherSite, others.sameSite])
    others.close()
  })

  test('a page that has logged in can open streams without a ticket until it logs out', async ({ expect }) => {
    const hub = await start(settings, runtime)
    const page = await visit(hub)
    const login = (method: string, headers: Record<string, string> = {}) =>
      page.evaluate(async ({ method, headers }) => (await fetch('/login', { method, headers })).status, {
        method,
        headers,
      })
    const cookies = async () =>
      (await page.context().cookies()).map(({ name, value: _, expires: __, ...rest }) => ({ name, ...rest }))
    await listen(page, '/event?topic=room')
    await expect.poll(() => heard(page)).toMatchObject({ opens: 0, readyState: 2 })

    expect(await login('POST', { authorization: await bearer({ subscribe: ['room'] }) })).toBe(200)
    expect(await page.evaluate(() => document.cookie)).toBe('')
    expect(await cookies()).toEqual([
      { name: '__Host-tidings', domain: 'localhost', path: '/', httpOnly: true, secure: true, sameSite: 'Strict' },
    ])
    await listen(page, '/event?topic=room')
    await expect.poll(() => heard(page)).toMatchObject({ opens: 1 })
    await publish(hub, 'room', 'hello')
    await expect.poll(() => heard(page)).toMatchObject({ data: ['hello'], controls: [] })

    expect(await login('DELETE')).toBe(204)
    expect(await cookies()).toEqual([])
    const [refused] = await Promise.all([
      page.waitForResponse(`${urlOf(hub)}/event?topic=room`),
      listen(page, '/event?topic=room'),
    ])
    expect(refused.status()).toBe(401)
    await expect.poll(() => heard(page)).toMatchObject({ opens: 0, readyState: 2 })
  })
})
