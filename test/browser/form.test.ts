import { describe, expect, test } from 'vitest'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { publish, send } from './client.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests of the page's forms, and of who can use them: by keyboard, by screen reader, on a phone, in the dark. */

const { open } = chromium

prepareBrowsers(chromium)

describe('the topic field', () => {
  test('puts the topic into the URL, which keeps it over a reload', async () => {
    const server = await start()
    const visit = await open(server.url)
    await visit.watches('chat/room-1')
    expect(new URL(visit.page.url()).search).toBe('?topic=chat/room-1')
    await publish(server, 'chat/room-1', 'before the reload')
    await visit.shows('before the reload')
    await visit.page.reload()
    await visit.is('Live')
    expect(await visit.page.getByRole('textbox', { name: 'Topic', exact: true }).inputValue()).toBe('chat/room-1')
    await publish(server, 'chat/room-1', 'after the reload')
    await visit.shows('before the reload', 'after the reload')
  })

  test('with a pattern leaves the destination of a message empty, and suggests the topics of the hub', async () => {
    const server = await start()
    await publish(server, 'sensors/door', 'open')
    await publish(server, 'other/topic', 'x')
    const { page } = await open(`${server.url}/?topic=sensors/*`)
    const to = page.getByRole('combobox', { name: 'To topic' })
    expect(await to.inputValue()).toBe('')
    await to.focus()
    const suggested = () =>
      page
        .locator('#destinations option')
        .evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value))
    await expect.poll(suggested).toEqual(['sensors/door'])
  })

  test('of the destination gets the focus back when it holds an invalid topic', async () => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=sensors/*`)
    const { page } = visit
    await visit.addresses('sensors/')
    await visit.says('closed')
    await expect.poll(() => page.locator('#send-error').textContent()).toContain('topic_invalid')
    const to = page.getByRole('combobox', { name: 'To topic' })
    expect(await to.getAttribute('aria-invalid')).toBe('true')
    expect(await to.evaluate((field) => field === document.activeElement)).toBe(true)
  })

  test.each([
    ['an invalid topic', 'a//b', /^Cannot use "a\/\/b"/],
    ['an invalid pattern', 'a/**/b', /^Cannot use "a\/\*\*\/b"/],
  ])("with %s shows the server's explanation, and does not reconnect", async (_, topic, why) => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=${topic}`)
    await visit.is('Refused', why)
    expect(await visit.page.getByRole('textbox', { name: 'Topic' }).getAttribute('aria-invalid')).toBe('true')
    await visit.watches('a/b')
    expect(await visit.page.getByRole('textbox', { name: 'Topic' }).getAttribute('aria-invalid')).toBe(null)
  })
})

describe('everybody can use the page', () => {
  test('with the keyboard alone: Tab moves from the topic over the list to the message and Send', async () => {
    const { url } = await start()
    const { page } = await open(url)
    const reached: string[] = []
    await page.locator('#welcome').waitFor()
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate(() => document.activeElement!.id || document.activeElement!.textContent!.trim()))
    }
    expect(reached).toEqual([
      ...['Tidings', 'topic', 'Watch', 'Help', 'pause', 'log'],
      ...['copy-curl', 'second', 'Guide', 'HTTP interface', 'message', 'Send'],
    ])
  })

  test('with a screen reader: every field has a label, the list is a log, the state is a status', async () => {
    const { url } = await start()
    const { page } = await open(`${url}/?topic=sensors/*`)
    for (const name of ['Topic', 'Message'])
      expect(await page.getByRole('textbox', { name, exact: true }).isVisible(), name).toBe(true)
    expect(await page.getByRole('combobox', { name: 'To topic' }).isVisible()).toBe(true)
    expect(await page.locator('input, textarea, select').filter({ visible: true }).count()).toBe(3)
    expect(await page.getByRole('log', { name: 'Messages' }).count()).toBe(1)
    expect(await page.getByRole('status').first().getAttribute('id')).toBe('state')
  })

  test('on a phone: nothing is wider than 360 px, not even a long word', async () => {
    const server = await start()
    const topic = 'a-topic-of-some-length/'.repeat(8).slice(0, -1)
    for (const path of ['/', `/?topic=${topic}`, '/?topic=sensors/*&topic=news/**']) {
      const visit = await open(server.url + path, { viewport: { width: 360, height: 740 } })
      await visit.is('Live')
      const word = 'w'.repeat(500)
      await send(server, word)
      await publish(server, topic, word)
      await publish(server, 'sensors/door', word)
      await expect.poll(async () => (await visit.texts).at(-1)).toBe(word)
      expect(await visit.page.evaluate(() => document.documentElement.scrollWidth), path).toBe(360)
      expect(await visit.page.evaluate(() => document.querySelector('#log')!.scrollWidth), path).toBeLessThanOrEqual(
        360,
      )
    }
  })

  test.each([
    ['light', [200, 255]],
    ['dark', [0, 60]],
  ] as const)('in their colour scheme, %s', async (colorScheme, [least, most]) => {
    const { url } = await start()
    const { page } = await open(url, { colorScheme })
    const colour = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    for (const part of colour.match(/\d+/g)!.map(Number)) {
      expect(part).toBeGreaterThanOrEqual(least)
      expect(part).toBeLessThanOrEqual(most)
    }
  })
})
