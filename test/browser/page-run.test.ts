import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { type Server, start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { lasting, publish } from './client.ts'
import { prepareBrowsers } from './hooks.ts'
import { chromiumTabs } from './tabs.ts'

/** Tests of what the page shows of runs. */

const { open } = chromium

prepareBrowsers(chromium, chromiumTabs)

async function claim({ url }: Server, lease: string, grace = lease): Promise<string> {
  const response = await fetch(`${url}/runs/ai/answer?lease=${lease}&grace=${grace}`, { method: 'POST' })
  return ((await response.json()) as { token: string }).token
}

/**
 * Holds the answer to the next request of a page for this address.
 *
 * @returns a promise that resolves when the hub has answered, and a function that hands the answer to the page and its scripts
 */
async function holdNext(page: Page, address: string): Promise<[held: Promise<void>, release: () => Promise<void>]> {
  const [held, released, done] = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
  await page.route(
    address,
    async (route) => {
      const response = await route.fetch()
      held!.resolve()
      await released!.promise
      await route.fulfill({ response })
      done!.resolve()
    },
    { times: 1 },
  )
  return [
    held!.promise,
    async () => {
      released!.resolve()
      await done!.promise
      await page.waitForTimeout(300)
    },
  ]
}

describe('a run', () => {
  test('is shown with its lease while it lasts, and can be asked to stop', async () => {
    const server = await start()
    const run = await claim(server, '60s')
    const visit = await open(`${server.url}/?topic=ai/answer`)
    const { page } = visit
    await page.getByText(/^A producer is at work \(run 1, lease until \d\d:\d\d:\d\d\)$/).waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByText(/^The producer was asked to stop/).waitFor()
    expect(await page.getByRole('button', { name: 'Stop' }).isDisabled()).toBe(true)
    expect(await (await fetch(`${server.url}/runs/ai/answer`)).json()).toMatchObject({ isStopAsked: true })
    await fetch(`${server.url}/runs/ai/answer`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', 'tidings-run': run },
      body: '{"outcome":"stopped"}',
    })
    await visit.shows('ai/answer ended: stopped')
    await visit.is('Closed')
    expect(await page.getByRole('textbox', { name: 'Message to ai/answer' }).isDisabled()).toBe(true)
    await expect.poll(() => page.locator('#run').isVisible()).toBe(false)
  })

  test('that is claimed while the page is open is shown before its first message, and ends as abandoned if its producer dies', async () => {
    const server = await start()
    const visit = await open(`${server.url}/?topic=ai/answer`)
    await visit.is('Live')
    const run = await claim(server, '10s', '0s')
    await visit.page.getByText(/^A producer is at work/).waitFor()
    const headers = { 'content-type': 'application/json', 'tidings-run': run }
    await fetch(`${server.url}/send?topic=ai/answer`, { method: 'POST', headers, body: '{"data":"Once upon"}' })
    await visit.page.getByText('ai/answer ended: abandoned').waitFor()
    await visit.shows('Once upon', 'ai/answer ended: abandoned')
    expect(await visit.page.locator('.closed .why').textContent()).toMatch(/^Its producer gave no more sign of life/)
  })

  test('whose lease has ended is shown with the time at which it ends', async () => {
    const server = await start()
    await claim(server, '1s', '60s')
    const { page } = await open(`${server.url}/?topic=ai/answer`)
    const words = page.getByText(/^The producer has given no sign of life/)
    await words.waitFor()
    const [ended, ends] = (await words.textContent())!
      .match(/\d\d:\d\d:\d\d/g)!
      .map((time) => Date.parse(`2000-01-01T${time}Z`))
    expect((ends! - ended! + 86_400_000) % 86_400_000).toBe(60_000)
  })

  test('is not asked about while the hub is lost', async () => {
    const server = await start(await lasting())
    const visit = await open(`${server.url}/?topic=ai/answer`)
    const { page } = visit
    await visit.is('Live')
    await publish(server, 'ai/answer', 'hello')
    await visit.shows('hello')
    await server.kill('SIGKILL')
    await visit.is('Reconnecting')
    let looks = 0
    page.on('request', (request) => request.url().endsWith('/topics/ai/answer') && looks++)
    await page.waitForTimeout(4000)
    expect(looks).toBe(0)
  })

  test('is not asked about by a hidden tab, and is shown at once when the tab is', async () => {
    const server = await start()
    const { page } = await chromiumTabs.open(server.url)
    await page.goto(`${server.url}/?topic=ai/answer`)
    await page.waitForSelector('#state[data-state="live"]')
    await chromiumTabs.open(server.url)
    await expect.poll(() => page.evaluate(() => document.hidden)).toBe(true)
    let looks = 0
    page.on('request', (request) => request.url().endsWith('/topics/ai/answer') && looks++)
    await publish(server, 'ai/answer', 'before the claim')
    await expect.poll(() => page.evaluate(() => document.querySelectorAll('#messages .text').length)).toBe(1)
    await claim(server, '60s')
    await new Promise((resolve) => setTimeout(resolve, 4000))
    expect(looks).toBe(0)
    await page.bringToFront()
    await page.waitForSelector('#run:not([hidden])', { timeout: 1000 })
  })

  test('that is being stopped is not shown as before by an older answer that arrives late', async () => {
    const server = await start()
    await claim(server, '60s')
    const { page } = await open(`${server.url}/?topic=ai/answer`)
    const words = page.locator('#run .words')
    await page.getByText(/^A producer is at work/).waitFor()
    const [held, release] = await holdNext(page, '**/topics/ai/answer')
    await held
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByText(/^The producer was asked to stop/).waitFor()
    await release()
    expect(await words.textContent()).toMatch(/^The producer was asked to stop/)
    expect(await page.getByRole('button', { name: 'Stop' }).isDisabled()).toBe(true)
  })

  test.each([
    ['failed', 'the model broke off', ['ai/answer ended: failed', 'the model broke off']],
    ['done', undefined, ['ai/answer ended: done', '']],
  ])('that has ended as %s is told to who comes later', async (outcome, detail, [title, span]) => {
    const server = await start()
    const headers = { 'content-type': 'application/json', 'tidings-run': await claim(server, '60s') }
    await fetch(`${server.url}/send?topic=ai/answer`, { method: 'POST', headers, body: '{"data":"Once upon"}' })
    await fetch(`${server.url}/runs/ai/answer`, { method: 'PATCH', headers, body: JSON.stringify({ outcome, detail }) })
    const visit = await open(`${server.url}/?topic=ai/answer`, { viewport: { width: 400, height: 700 } })
    await visit.shows('Once upon', title!)
    const content = await visit.page.locator('.closed .content').boundingBox()
    expect(content!.x + content!.width).toBeLessThanOrEqual(400)
    expect(await visit.page.getByText('in the field below').isVisible()).toBe(false)
    expect((await visit.page.locator('.closed .span').allTextContents()).join()).toBe(span)
  })
})
