import { describe, expect, test } from 'vitest'
import { SECRET, token } from '../auth/suite.ts'
import { freePort, type Server, start } from '../server/server.ts'
import { chromium, reader } from './chromium.ts'
import { lasting, publish, repeats, send } from './client.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests of the page that need only one runtime; suite.ts has the others, and beyond.test.ts those that take longer. */

const { open } = chromium
const DEFAULT = 'This is a server-sent event'

prepareBrowsers(chromium)

/** A server that can be killed and started again with the same port and log. */
async function mortal(env: Record<string, string> = {}): Promise<{ server: Server; again: () => Promise<Server> }> {
  const settings = { ...(await lasting()), ...env }
  return { server: await start(settings), again: () => start(settings) }
}

describe('the page', () => {
  test("shows a message with its id and its time in the reader's time zone", async () => {
    const server = await start()
    const { page } = await open(server.url)
    await page.getByText(DEFAULT).waitFor()
    const { id } = await send(server, 'what time is it')
    const { timestamp } = JSON.parse((await repeats(server, 0)).data[0]!)
    const row = page.locator('#messages li', { hasText: 'what time is it' })
    const clock = new Intl.DateTimeFormat(reader.locale, { timeStyle: 'medium', timeZone: reader.timezoneId })
    expect(await row.locator('.id').textContent()).toBe(id)
    expect(await row.locator('time').textContent()).toBe(clock.format(new Date(timestamp)))
    expect(await row.locator('time').getAttribute('datetime')).toBe(timestamp)
  })

  test('sends the message with Enter, and starts a new line with Shift and Enter', async () => {
    const { url } = await start()
    const [writer, other] = [await open(url), await open(url)]
    await writer.shows(DEFAULT)
    const field = writer.page.getByRole('textbox', { name: 'Message' })
    await field.pressSequentially('two')
    await field.press('Shift+Enter')
    await field.pressSequentially('lines')
    await field.press('Enter')
    for (const visit of [other, writer]) await visit.shows(DEFAULT, 'two\nlines')
    expect(await field.inputValue()).toBe('')
  })

  test.each([
    ['longer than the largest event', 63 * 1024, 'event_too_large'],
    ['longer than the largest body', 70 * 1024, 'body_too_large'],
  ])("keeps a refused message that is %s, and shows the server's explanation", async (_, length, code) => {
    const { url } = await start()
    const visit = await open(url)
    await visit.shows(DEFAULT)
    const text = 'x'.repeat(length)
    const field = visit.page.getByRole('textbox', { name: 'Message' })
    await field.fill(text)
    await field.press('Enter')
    const refusal = visit.page.locator('#send-error')
    await expect.poll(() => refusal.textContent()).toContain(code)
    expect(await refusal.textContent()).toMatch(/^Cannot .*bytes.*/)
    expect(await field.inputValue()).toBe(text)
    expect(await visit.texts).toEqual([DEFAULT])
  })

  test('shows when the server was last heard', async () => {
    const { server } = await mortal()
    const visit = await open(server.url)
    const heard = visit.page.locator('#heard')
    await visit.shows(DEFAULT)
    await repeats(server, 1)
    await expect.poll(() => heard.textContent()).toBe('last heard just now')
    await server.kill('SIGKILL')
    await expect.poll(() => heard.textContent(), { timeout: 15_000 }).toMatch(/^last heard [2-5] s ago$/)
  })

  test('lets the original script of the demo work: an EventSource on /event gets a message and its time', async () => {
    const { url } = await start()
    const { page } = await open(url)
    const got = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const source = new EventSource('/event')
          source.addEventListener('message', (event) => {
            source.close()
            resolve({ isMessage: event instanceof MessageEvent, id: event.lastEventId, ...JSON.parse(event.data) })
          })
        }),
    )
    expect(got).toEqual({
      isMessage: true,
      id: expect.stringMatching(/-0$/),
      message: DEFAULT,
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    })
  })
})

describe('the page of a browser that blocks site data', () => {
  test('shows the demo stream and sends to it', async () => {
    const { url } = await start()
    const visit = await chromium.openWithoutSiteData(url)
    await visit.is('Live')
    await visit.says('without storage')
    await visit.shows(DEFAULT, 'without storage')
  })

  test('says that the sign-in cookie was not kept', async () => {
    const { port } = await start({ AUTH_SECRET: SECRET })
    const { page } = await chromium.openWithoutSiteData(`http://localhost:${port}`)
    await page.getByLabel('Token').fill(await token({ subscribe: ['$store'] }))
    await page.keyboard.press('Enter')
    await page
      .getByText(/^The token is valid, but your browser did not keep the sign-in cookie.*does not block cookies/)
      .waitFor()
  })
})

describe('the page reconnects by itself', () => {
  test('without showing the default message again, whose time changes with the restart', async () => {
    const { server, again } = await mortal()
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    await server.kill('SIGKILL')
    await visit.is('Reconnecting')
    const back = await again()
    await visit.is('Live')
    await repeats(back, 1)
    expect(await visit.texts).toEqual([DEFAULT])
  })

  test('when a stream has reached its lifetime', async () => {
    const server = await start({ LIFETIME: '1s', RETRY: '500ms' })
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    await visit.is('Reconnecting')
    await send(server, 'meanwhile')
    await visit.is('Live')
    await visit.shows(DEFAULT, 'meanwhile')
  })

  test('and shows a gap when messages can no longer be delivered', async () => {
    const { server, again } = await mortal({ TOPIC_RETENTION_COUNT: '2', WINDOW_COUNT: '1' })
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.is('Live')
    await publish(server, 'chat', '1')
    await visit.shows('1')
    await server.kill('SIGKILL')
    await visit.is('Reconnecting')
    await visit.offline(async () => publish(await again(), 'chat', '2', '3', '4', '5'))
    await visit.is('Gap')
    const gap = 'Some messages can no longer be delivered: the server no longer keeps messages that old.'
    await visit.shows('1', gap, '4', '5')
    expect(await visit.page.locator('#messages .span').allTextContents()).toEqual([
      expect.stringMatching(/^At most 2 messages are missing: after \S+-1 up to \S+-3$/),
    ])
    await visit.is('Live')
  })

  test('and says that nobody knows how many messages are missing when the server has started with a new log', async () => {
    const settings = { PORT: `${await freePort()}`, RETRY: '500ms' }
    const server = await start(settings)
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.is('Live')
    await publish(server, 'chat', '1')
    await visit.shows('1')
    await server.kill('SIGKILL')
    await start(settings)
    await visit.page.getByText(/^How many messages are missing is unknown: after \S+-1 up to \S+-0$/).waitFor()
  })
})
