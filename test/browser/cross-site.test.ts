import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { cleanUp, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'
import { chromium } from './chromium.ts'
import { type Foreign, foreign } from './foreign.ts'

const { missing, leave, newPage, quit } = chromium

let others: Foreign
let hub: Server
/** The hub at localhost, which is another site than the foreign page. */
let site: string
let page: Page

beforeAll(async () => {
  others = await foreign()
  hub = await start()
  site = `http://localhost:${hub.port}`
})
beforeEach(async (context) => {
  context.skip(missing !== '', missing)
  page = await newPage()
  await page.goto(others.otherSite)
})
afterEach(leave)
afterAll(async () => {
  others.close()
  await cleanUp()
  await quit()
})

/** Requests that a page can make a browser send to another site without a preflight. */
const attempts: Record<string, (url: string) => unknown> = {
  'an image': (url) => {
    new Image().src = `${url}?message=evil`
  },
  'a link that is followed': (url) => {
    const link = document.createElement('a')
    link.href = `${url}?message=evil`
    link.click()
  },
  'a form': (url) => {
    const form = document.createElement('form')
    form.method = 'post'
    form.action = url
    form.append(Object.assign(document.createElement('input'), { name: 'message', value: 'evil' }))
    document.body.append(form)
    form.submit()
  },
  'a fetch': (url) => fetch(`${url}?message=evil`, { method: 'POST', mode: 'no-cors' }).catch(() => {}),
  'a fetch of plain text to a topic': (url) =>
    fetch(`${url}?topic=chat`, { method: 'POST', mode: 'no-cors', body: 'evil' }).catch(() => {}),
}

/** The status of the hub's answer, or why the browser kept the answer from the page. */
function answer(): Promise<string> {
  const isHub = (of: { url(): string }) => of.url().startsWith(site)
  return Promise.race([
    page.waitForResponse(isHub).then((response) => `${response.status()}`),
    page.waitForEvent('requestfailed', isHub).then((request) => request.failure()!.errorText),
  ])
}

test.each(Object.keys(attempts))('another site cannot publish with %s', async (means) => {
  const answered = answer()
  await page.evaluate(attempts[means]!, `${site}/send`)
  // The answer is kept from other sites, even its status (Cross-Origin-Resource-Policy), unless the browser navigates to it.
  const isOpened = means === 'a link that is followed' || means === 'a form'
  expect(await answered).toBe(isOpened ? '403' : 'net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin')
  const stream = new Stream(hub.port, '/event')
  await stream.until(() => stream.reader.events.length > 0)
  stream.socket.destroy()
  expect(stream.reader.data[0]).toContain('This is a server-sent event')
  expect(stream.reader.lastEventId).toMatch(/-0$/) // nothing in any topic
})

test('another site cannot read a stream', async () => {
  const read = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const source = new EventSource(url)
        source.onmessage = ({ data }) => resolve(data)
        source.onerror = () => resolve('an error')
      }),
    `${site}/event`,
  )
  expect(read).toBe('an error')
})

test('another site cannot frame the page', async () => {
  await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const frame = document.createElement('iframe')
        frame.src = url
        frame.onload = resolve
        document.body.append(frame)
      }),
    `${site}/`,
  )
  const addresses = () => page.frames().map((frame) => frame.url())
  await expect.poll(addresses).toEqual([page.url(), 'chrome-error://chromewebdata/'])
})
