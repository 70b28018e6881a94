import { once } from 'node:events'
import { createServer, request as forward, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cleanUp, type Server, start } from '../server/server.ts'
import { chromium, reader } from './chromium.ts'
import { lasting, post, publish, repeats, send } from './client.ts'

/** Tests of the page that need only one runtime; suite.ts has the others. */

const { missing, open, leave, quit } = chromium
const DEFAULT = 'This is a server-sent event'

beforeEach((context) => context.skip(missing !== '', missing))
afterEach(() => leave().finally(cleanUp)) // in one hook, because a hook that fails keeps the next from running
afterAll(quit)

/** A server that can be killed and started again with the same port and log. */
async function mortal(env: Record<string, string> = {}): Promise<{ server: Server; again: () => Promise<Server> }> {
  const settings = { ...(await lasting()), ...env }
  return { server: await start(settings), again: () => start(settings) }
}

/** Starts a proxy that serves the hub under `/hub/`. */
async function underHub(server: Server): Promise<string> {
  const proxy = createServer((request, response) => {
    if (!request.url!.startsWith('/hub/')) {
      response.writeHead(404).end()
      return
    }
    const { method, headers } = request
    const to = { port: server.port, path: request.url!.slice('/hub'.length), method, headers }
    const asked = forward(to, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    asked.on('error', () => response.destroy())
    response.on('close', () => asked.destroy())
    request.pipe(asked)
  })
  proxies.push(proxy)
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return `http://localhost:${(proxy.address() as AddressInfo).port}/hub/`
}

const proxies: HttpServer[] = []
afterEach(() => {
  for (const proxy of proxies.splice(0)) {
    proxy.close()
    proxy.closeAllConnections()
  }
})

describe('the page', () => {
  test('works behind a proxy that strips a path: its files, streams, sends and /docs', async () => {
    const server = await start()
    const url = await underHub(server)
    const visit = await open(url)
    await visit.shows(DEFAULT)
    await visit.says('from below')
    await visit.shows(DEFAULT, 'from below')
    const topic = await open(`${url}?topic=a`)
    await topic.is('Live')
    await publish(server, 'a', 'to a topic')
    await topic.shows('to a topic')
    const docs = await open(`${url}docs`)
    await docs.page.getByText('A Server-Sent Events hub').first().waitFor()
  })

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
    ['longer than the largest event', 61 * 1024, 'event_too_large'],
    ['longer than the largest body', 70 * 1024, 'body_too_large'],
  ])("keeps a refused message that is %s, and shows the server's explanation", async (_, length, code) => {
    const { url } = await start()
    const visit = await open(url)
    await visit.shows(DEFAULT)
    const text = 'x'.repeat(length)
    const field = visit.page.getByRole('textbox', { name: 'Message' })
    await field.fill(text)
    await field.press('Enter')
    const refusal = visit.page.getByRole('alert')
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
    await repeats(server, 2)
    await expect.poll(() => heard.textContent()).toBe('last heard just now')
    await server.kill('SIGKILL')
    await expect.poll(() => heard.textContent(), { timeout: 5000 }).toMatch(/^last heard [2-5] s ago$/)
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

describe('the page reconnects by itself', () => {
  test('after SIGTERM, and shows everything published meanwhile, once and in order', async () => {
    const { server, again } = await mortal()
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    await send(server, 'before')
    await visit.shows(DEFAULT, 'before')
    await server.kill('SIGTERM')
    await visit.is('Reconnecting')
    const back = await visit.offline(async () => {
      const back = await again()
      for (const message of ['1', '2', '3']) await send(back, message)
      expect(await back.readers()).toBe(0)
      return back
    })
    await visit.is('Live')
    await visit.shows(DEFAULT, 'before', '1', '2', '3')
    await repeats(back, 2)
    await send(back, 'after')
    await visit.shows(DEFAULT, 'before', '1', '2', '3', 'after')
  })

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
      expect.stringMatching(/^Missing: after \S+-1 up to \S+-3$/),
    ])
    await visit.is('Live')
  })
})

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
    await visit.shows('after the reload')
  })

  test('with a pattern fills the destination of a message with the beginning of the pattern', async () => {
    const { url } = await start()
    const visit = await open(url)
    await visit.watches('sensors/*')
    expect(await visit.page.getByRole('combobox', { name: 'To topic' }).inputValue()).toBe('sensors/')
  })

  test('of the destination gets the focus back when it holds an invalid topic', async () => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=sensors/*`)
    const { page } = visit
    await visit.says('closed') // to "sensors/", which is only the beginning of a topic
    await expect.poll(() => page.getByRole('alert').textContent()).toContain('topic_invalid')
    const to = page.getByRole('combobox', { name: 'To topic' })
    expect(await to.getAttribute('aria-invalid')).toBe('true')
    expect(await to.evaluate((field) => field === document.activeElement)).toBe(true)
  })

  test('beside an event name in the URL: the page shows only events with that name', async () => {
    const server = await start()
    const visit = await open(`${server.url}/?topic=house&event=alert`)
    await visit.is('Live')
    await post(`${server.url}/send?topic=house`, { data: 'unseen', event: 'other' })
    await post(`${server.url}/send?topic=house`, { data: 'fire', event: 'alert' })
    await visit.shows('fire')
    expect(await visit.page.locator('#messages .name').textContent()).toBe('alert')
  })

  test("with an invalid topic shows the server's explanation", async () => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=a//b`)
    await expect
      .poll(() => visit.page.locator('#state .detail').textContent(), { timeout: 5000 })
      .toMatch(/^The server refused: Cannot use "a\/\/b"/)
  })
})

describe('everybody can use the page', () => {
  test('with the keyboard alone: Tab moves from the topic over the list to the message and Send', async () => {
    const { url } = await start()
    const { page } = await open(url)
    const reached: string[] = []
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate(() => document.activeElement!.id || document.activeElement!.textContent!.trim()))
    }
    expect(reached).toEqual(['topic', 'Watch', 'Options', 'log', 'message', 'Send'])
  })

  test('with a screen reader: every field has a label, the list is a log, the state is a status', async () => {
    const { url } = await start()
    const { page } = await open(`${url}/?topic=sensors/*`)
    await page.getByText('Options').press('Enter')
    for (const name of ['Topic', 'Also listen for event names', 'Message'])
      expect(await page.getByRole('textbox', { name, exact: true }).isVisible(), name).toBe(true)
    expect(await page.getByRole('combobox', { name: 'To topic' }).isVisible()).toBe(true)
    expect(await page.locator('input, textarea, select').filter({ visible: true }).count()).toBe(4)
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
