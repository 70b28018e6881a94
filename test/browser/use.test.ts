import { describe, expect, test } from 'vitest'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { lasting, publish } from './client.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests of how a person gets around in the page. */

const { open } = chromium
const DEFAULT = 'This is a server-sent event'

prepareBrowsers(chromium)

describe('a person', () => {
  test('goes back to the topics watched before, and forward again', async () => {
    const server = await start()
    for (const topic of ['a', 'b']) await publish(server, topic, `on ${topic}`)
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    await visit.watches('a')
    await visit.shows('on a')
    await visit.watches('b')
    await visit.shows('on b')
    await visit.page.goBack()
    await visit.shows('on a')
    expect(await visit.page.locator('#topic').inputValue()).toBe('a')
    await visit.page.goBack()
    await visit.shows(DEFAULT)
    await visit.page.goForward()
    await visit.shows('on a')
  })

  test('sends nothing by the Enter that ends a composition, also where the composition has ended before, as in Safari', async () => {
    const { url } = await start()
    const visit = await open(url)
    await visit.shows(DEFAULT)
    const field = visit.page.locator('#message')
    await field.fill('half a wo')
    const enter = (init: object) =>
      field.evaluate(
        (element, init) =>
          element.dispatchEvent(
            new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...init }),
          ),
        init,
      )
    expect(await enter({ keyCode: 229 })).toBe(true) // not prevented: the browser has it
    expect(await enter({ isComposing: true })).toBe(true)
    expect(await visit.texts).toEqual([DEFAULT])
    expect(await enter({ keyCode: 13 })).toBe(false)
    await visit.shows(DEFAULT, 'half a wo')
  })

  test('sees an error of sending only until the hub is back', async () => {
    const settings = await lasting()
    const server = await start(settings)
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    await server.kill('SIGKILL')
    await visit.is('Reconnecting')
    await visit.says('lost')
    const error = visit.page.locator('#send-error')
    await expect.poll(() => error.textContent()).toBe('The server could not be reached. Your message was not sent.')
    await start(settings)
    await visit.is('Live')
    expect(await error.textContent()).toBe('')
    expect(await visit.page.locator('#message').inputValue()).toBe('lost')
  })

  test('sees since when the connection is lost, and when the next try is', async () => {
    const settings = await lasting()
    const server = await start(settings)
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.is('Live')
    const retry = visit.page.locator('#retry')
    expect(await retry.textContent()).toBe('')
    await server.kill('SIGKILL')
    await visit.is('Reconnecting', /^The connection was lost\.$/)
    await expect.poll(() => retry.textContent()).toMatch(/^Since \d\d:\d\d:\d\d\. Next try in \d+ s\.$/)
    const since = (await retry.textContent())!.slice(0, 'Since 00:00:00'.length)
    await visit.page.waitForTimeout(2500)
    expect(await retry.textContent()).toContain(since)
    await start(settings)
    await visit.is('Live')
    expect(await retry.textContent()).toBe('')
  })

  test('sees why a proxy refuses the demo stream, until the next try', async () => {
    const { url } = await start()
    const visit = await open(url)
    await visit.shows(DEFAULT)
    await visit.page.route('**/event*', (route) => route.fulfill({ status: 503, json: { detail: 'Under repair' } }))
    await visit.page.reload()
    await visit.is('Reconnecting', /^The server refused: Under repair$/)
    const retry = visit.page.locator('#retry')
    await expect.poll(() => retry.textContent()).toMatch(/^Since \d\d:\d\d:\d\d\. (Next try in [1-5] s|Trying now)\.$/)
    const details = await visit.page.evaluate(async () => {
      const seen = new Set<string>()
      for (let i = 0; i < 80; i++) {
        seen.add(document.querySelector('#state .detail')!.textContent!)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      return [...seen]
    })
    expect(details).toEqual(['The server refused: Under repair'])
    await visit.page.unroute('**/event*')
    await visit.shows(DEFAULT)
  })

  test('can watch the topic that a message was sent to, beside those watched before', async () => {
    const server = await start()
    const visit = await open(`${server.url}/?topic=sensors/*`)
    const { page } = visit
    await visit.is('Live')
    await visit.addresses('sensors/door')
    await visit.says('open')
    await visit.shows('open')
    await expect.poll(() => page.locator('#sent').textContent()).toMatch(/^Sent to sensors\/door as \S+$/)
    await visit.addresses('kitchen')
    await visit.says('hot')
    await page.getByRole('button', { name: 'Watch kitchen' }).click()
    await visit.shows('open', 'hot')
    expect(new URL(page.url()).search).toBe('?topic=sensors/*&topic=kitchen')
    expect(await page.evaluate(() => document.activeElement!.id)).toBe('message')
  })

  test('sends a message again whose answer was lost, and it arrives only once', { timeout: 40_000 }, async () => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=chat`)
    const { page } = visit
    await visit.is('Live')
    await page.route('**/send', async (route) => {
      await route.fetch()
      await route.abort('connectionreset')
    })
    await visit.says('once')
    await page.getByText('Sending…').waitFor()
    await expect
      .poll(() => page.locator('#send-error').textContent(), { timeout: 20_000 })
      .toBe('The server could not be reached. You can send the message again: it will arrive only once.')
    await visit.shows('once')
    await page.unroute('**/send')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.locator('#message').inputValue()).toBe('')
    expect(await page.locator('#send-error').textContent()).toBe('')
    await visit.says('another')
    await visit.shows('once', 'another')
    await visit.says('another')
    await visit.shows('once', 'another', 'another')
  })

  test('finds a first line for the terminal, a second window, and working links', async () => {
    const server = await start()
    const visit = await open(server.url, { permissions: ['clipboard-read', 'clipboard-write'] })
    const { page } = visit
    await visit.shows(DEFAULT)
    const line = `curl '${server.url}/send?message=hello'`
    expect(await page.locator('#curl').textContent()).toBe(line)
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(line)
    const [second] = await Promise.all([
      page.waitForEvent('popup'),
      page.getByRole('button', { name: 'Open a second window' }).click(),
    ])
    await second.getByText(DEFAULT).waitFor()
    for (const link of await page.locator('#welcome a').all())
      expect((await fetch(new URL((await link.getAttribute('href'))!, server.url))).status).toBe(200)
    await visit.says('enough')
    await visit.shows(DEFAULT, 'enough')
    await expect.poll(() => page.locator('#welcome').isVisible()).toBe(false)
  })

  test('who watches 40 topics at 400 px can still send: nothing lies over the form', async () => {
    const server = await start()
    const topics = Array.from({ length: 40 }, (_, i) => `topic=a-room-with-a-name/number-${i}`).join('&')
    const visit = await open(`${server.url}/?${topics}`, { viewport: { width: 400, height: 640 } })
    const { page } = visit
    await page.getByText('Waiting for new messages on 40 topics.').waitFor()
    expect(await page.title()).toBe('40 topics · Tidings')
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(400)
    const footer = (await page.locator('footer').boundingBox())!
    for (const part of ['#log', '#empty', '#welcome']) {
      const box = (await page.locator(part).boundingBox())!
      expect(box.y + box.height, part).toBeLessThanOrEqual(footer.y)
    }
    await visit.addresses('a-room-with-a-name/number-7')
    await visit.says('hello')
    await visit.shows('hello')
  })
})
