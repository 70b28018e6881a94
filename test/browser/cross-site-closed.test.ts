import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SECRET, token } from '../auth/suite.ts'
import { cleanUp, type Server, start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { type Foreign, foreign } from './foreign.ts'

/** Like cross-site.test.ts, for a hub with keys and a person who is logged in there and visits a foreign page. */

const { missing, leave, newPage, quit } = chromium
const SAID = 'for those only who are let in'
/** A page of the hub that sends no requests by itself. */
const QUIET = '/style.css'
/** The address of the test's own requests, which tells them from the browser's in the request log. */
const ADMIN = '192.0.2.1'
const everything = { publish: ['**', '$store', '$topics/**', '$revoked'], subscribe: ['**', '$store'] }

let hub: Server
/** The hub at localhost, which browsers treat as secure without TLS, so that they keep its cookies. */
let site: string
let others: Foreign
let admin: Record<string, string>
let visitor: BrowserContext

beforeAll(async () => {
  if (missing) return
  others = await foreign()
  hub = await start({ AUTH_SECRET: SECRET, REQUEST_LOG: 'all', TRUSTED_PROXIES: '127.0.0.1' })
  site = `http://localhost:${hub.port}`
  admin = { authorization: `Bearer ${await token(everything, { sub: 'admin' })}`, 'x-forwarded-for': ADMIN }
  for (const url of [`/send?message=${SAID}`, '/send?topic=chat', '/send?topic=chat'])
    await fetch(hub.url + url, { method: 'POST', headers: admin, ...(url.includes('topic') && { body: SAID }) })
  const page = await newPage()
  visitor = page.context()
  await page.goto(site + QUIET)
  const authorization = `Bearer ${await token(everything, { sub: 'visitor', jti: 'visitor' })}`
  await page.evaluate((authorization) => fetch('/login', { method: 'POST', headers: { authorization } }), authorization)
})
beforeEach((context) => context.skip(missing !== '', missing))
afterEach(async () => {
  for (const opened of visitor?.pages().slice(1) ?? []) await opened.close()
})
afterAll(async () => {
  others?.close()
  await leave()
  await cleanUp()
  await quit()
})

/** What a page does with a URL of the hub. Returns what the page could read. */
type Means = (url: string) => unknown

/** Ways to make a browser send a GET from a page. */
const gets: Record<string, Means> = {
  'an image': (url) => {
    new Image().src = url
  },
  'an image that the foreign server redirects': (url) => {
    new Image().src = `/away?${encodeURIComponent(url)}`
  },
  'a script': (url) => {
    document.head.append(Object.assign(document.createElement('script'), { src: url }))
  },
  'a style sheet': (url) => {
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: url }))
  },
  'a prefetch': (url) => {
    document.head.append(Object.assign(document.createElement('link'), { rel: 'prefetch', href: url }))
  },
  'a preload': (url) => {
    document.head.append(Object.assign(document.createElement('link'), { rel: 'preload', as: 'image', href: url }))
  },
  'a frame': (url) => {
    document.body.append(Object.assign(document.createElement('iframe'), { src: url }))
  },
  'a fetch': (url) => fetch(url, { mode: 'no-cors', credentials: 'include' }).catch(String),
  'an EventSource': (url) => {
    new EventSource(url, { withCredentials: true })
  },
  'a window': (url) => {
    window.open(url)
  },
}

/** Ways to make the page itself navigate to a URL of the hub. */
const leaves: Record<string, Means> = {
  'a link that is followed': (url) => {
    Object.assign(document.createElement('a'), { href: url }).click()
  },
  'a redirect of the whole page': (url) => {
    location.assign(`/away?${encodeURIComponent(url)}`)
  },
}

/** Forms that would change something: name, path, type and one field. */
const forms = [
  ['a form', '/send', 'application/x-www-form-urlencoded', 'message', 'evil'],
  ['a form to a topic', '/send?topic=chat', 'application/x-www-form-urlencoded', 'data', 'evil'],
  ['a form with parts', '/send', 'multipart/form-data', 'message', 'evil'],
  ['a form of plain text to a topic', '/send?topic=chat', 'text/plain', 'evil', ''],
  ['a form that is also valid JSON, to revoke', '/revoke', 'text/plain', '{"sub":"visitor","', '":""}'],
] as const

/** Other attempts to change something: path, means, and what the hub logs if that differs from the line for a form. */
const sends: Record<string, [path: string, means: Means, told?: string]> = {
  'a fetch to a topic': [
    '/send?topic=chat',
    (url) => fetch(url, { method: 'POST', body: 'evil', mode: 'no-cors', credentials: 'include' }).catch(String),
  ],
  'a fetch of JSON to a topic': [
    '/send?topic=chat',
    (url) => {
      const headers = { 'content-type': 'application/json' }
      return fetch(url, { method: 'POST', body: '{"data":"evil"}', headers, credentials: 'include' }).catch(String)
    },
    'OPTIONS /send 405 method_not_allowed',
  ],
  'a beacon to a topic': ['/send?topic=chat', (url) => navigator.sendBeacon(url, 'evil')],
  'a beacon of lines of JSON to a topic': [
    '/send?topic=chat',
    (url) => navigator.sendBeacon(url, new Blob(['{"data":"evil"}'], { type: 'application/x-ndjson' })),
    'OPTIONS /send 405 method_not_allowed',
  ],
  'a fetch to revoke': [
    '/revoke',
    (url) =>
      fetch(url, { method: 'POST', body: '{"sub":"visitor"}', mode: 'no-cors', credentials: 'include' }).catch(String),
  ],
  'a fetch that asks for a ticket': [
    '/ticket',
    (url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' }).catch(String),
  ],
  'a fetch to delete a topic': [
    '/topics/chat',
    (url) => fetch(url, { method: 'DELETE', credentials: 'include' }).catch(String),
    'OPTIONS /topics/chat 405 method_not_allowed',
  ],
  'a fetch to log out': [
    '/login',
    (url) => fetch(url, { method: 'DELETE', credentials: 'include' }).catch(String),
    'OPTIONS /login 405 method_not_allowed',
  ],
}

/** Attempts to read. */
const reads: Record<string, [path: string, means: Means]> = {
  'an EventSource': [
    '/event?topic=chat&from=earliest',
    (url) =>
      new Promise((resolve) => {
        const source = new EventSource(url, { withCredentials: true })
        source.onmessage = ({ data }) => resolve(data)
        source.onerror = () => resolve(`closed: ${source.readyState}`)
      }),
  ],
  'a fetch of JSON': [
    '/event?topic=chat&from=earliest',
    (url) =>
      fetch(url, { headers: { accept: 'application/json' }, credentials: 'include' }).then(
        (response) => response.text(),
        String,
      ),
  ],
  'a fetch without CORS': [
    '/event?topic=chat&from=earliest',
    (url) =>
      fetch(url, { mode: 'no-cors', headers: { accept: 'application/json' }, credentials: 'include' }).then(
        (response) => response.text(),
        String,
      ),
  ],
  'a script': [
    '/topics/chat',
    (url) =>
      new Promise((resolve) => {
        window.onerror = (error) => resolve(String(error))
        const script = Object.assign(document.createElement('script'), { src: url })
        script.onload = () => resolve('loaded')
        script.onerror = () => resolve('error')
        document.head.append(script)
      }),
  ],
  'a frame': [
    '/topics/chat',
    (url) =>
      new Promise((resolve) => {
        const frame = Object.assign(document.createElement('iframe'), { src: url })
        frame.onload = () => resolve(frame.contentDocument?.body.innerText ?? 'no document')
        document.body.append(frame)
      }),
  ],
  'a window': [
    '/topics/chat',
    async (url) => {
      const opened = window.open(url)!
      for (;;) {
        try {
          if (opened.location.href !== 'about:blank') return opened.document.body.innerText
        } catch (error) {
          return String(error)
        }
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
  ],
}

/** Everything that the hub holds and shows, including the head of its log, and the visitor's cookies. */
async function state() {
  const json = async (path: string) => {
    const response = await fetch(hub.url + path, { headers: { ...admin, accept: 'application/json' } })
    expect(response.status).toBe(200)
    return response.json()
  }
  return {
    log: await json('/event?topic=**&topic=$store&from=earliest'),
    topics: [await json('/topics'), await json('/topics?prefix=$')],
    cookies: await visitor.cookies(),
  }
}

/** The hub's request log from now on: method, path, status and the code of a refusal. */
function telling(): () => string[] {
  const before = hub.output.length
  const lines = () => hub.output.slice(before).split('\n').slice(0, -1)
  return () =>
    lines()
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .filter(({ path, address }) => path !== undefined && path !== '/favicon.ico' && address !== ADMIN)
      .map(({ method, path, status, code }) => [method, path, status, code].filter(Boolean).join(' '))
}

/** Opens a page of this origin, always in the same tab, because a new tab takes ten times as long. */
async function open(origin: string): Promise<Page> {
  const page = visitor.pages()[0]!
  await page.goto(origin)
  return page
}

/** Runs an attempt of a page, and returns what the hub logged, whether anything changed, and what the page could read. */
async function tried<T>(page: Page, means: (given: T) => unknown, given: T, isLeaving = false) {
  const before = await state()
  const told = telling()
  const got = await page.evaluate(means as (given: unknown) => unknown, given)
  await expect.poll(told).not.toEqual([])
  if (isLeaving) await page.waitForURL(`${site}/**`)
  const after = await state()
  return { told: told(), isChanged: JSON.stringify(after) !== JSON.stringify(before), got: String(got) }
}

function submit({ url, type, name, value, target }: Record<'url' | 'type' | 'name' | 'value' | 'target', string>) {
  const form = Object.assign(document.createElement('form'), { method: 'post', action: url, enctype: type, target })
  form.append(Object.assign(document.createElement('input'), { name, value }))
  document.body.append(Object.assign(document.createElement('iframe'), { name: 'frame' }), form)
  form.submit()
}

const origins = [
  // The browser sends no cookie. The hub refuses a request that changes something with or without a cookie.
  { from: 'another site', where: 'otherSite', reading: '401 token_missing' },
  // The browser sends the cookie, because all ports are one site; only the browser keeps the page from reading.
  { from: 'another origin of the same site', where: 'sameSite', reading: '200' },
] as const

describe.each(origins)('a page of $from, visited by somebody logged in at a hub with keys,', ({ where, reading }) => {
  for (const [name, means] of Object.entries({ ...gets, ...leaves })) {
    test(`cannot set the store with ${name}`, async () => {
      const page = await open(others[where])
      const { told, isChanged } = await tried(page, means, `${site}/send?message=evil`, name in leaves)
      expect(told).toEqual(['GET /send 403 cross_site'])
      expect(isChanged).toBe(false)
    })
  }

  describe.each([
    ['in a frame', 'frame'],
    ['in place of the page', '_self'],
  ])('with the answer %s,', (_, target) => {
    test.each(forms)('cannot change anything with %s', async (_, path, type, name, value) => {
      const page = await open(others[where])
      const given = { url: site + path, type, name, value, target }
      const { told, isChanged } = await tried(page, submit, given, target === '_self')
      expect(told).toEqual([`POST ${path.split('?')[0]} 403 cross_site`])
      expect(isChanged).toBe(false)
    })
  })

  test.each(Object.keys(sends))('cannot change anything with %s', async (name) => {
    const [path, means, refusal = `POST ${path.split('?')[0]} 403 cross_site`] = sends[name]!
    const { told, isChanged } = await tried(await open(others[where]), means, site + path)
    expect(told).toEqual([refusal])
    expect(isChanged).toBe(false)
  })

  test.each(Object.keys(reads))('cannot read anything with %s', async (name) => {
    const [path, means] = reads[name]!
    const { told, got } = await tried(await open(others[where]), means, site + path)
    expect(told).toEqual([`GET ${path.split('?')[0]} ${reading}`])
    expect(got).toMatch(/^(closed: 2|error|no document|(TypeError|SecurityError): .*)$/)
  })
})

test("the hub's own page can do and read what foreign pages cannot", async () => {
  const page = await open(site + QUIET)
  const [path, means] = reads['an EventSource']!
  expect((await tried(page, means, site + path)).got).toBe(SAID)
  const set = await tried(page, gets['an image']!, `${site}/send?message=good`)
  expect(set).toMatchObject({ told: ['GET /send 200'], isChanged: true })
  for (const [name, answer] of [
    ['a fetch to a topic', 'POST /send 200'],
    ['a beacon to a topic', 'POST /send 200'],
    ['a fetch to delete a topic', 'DELETE /topics/chat 200'],
    ['a fetch to log out', 'DELETE /login 204'],
  ] as const) {
    const [path, means] = sends[name]!
    expect(await tried(page, means, site + path)).toMatchObject({ told: [answer], isChanged: true })
  }
})
