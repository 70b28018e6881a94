import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cleanUp, folder, freePort, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'
import { leave, open, quit, reader, type Visit, withoutBrowser } from './browser.ts'

const DEFAULT = 'This is a server-sent event'

beforeEach((context) => context.skip(withoutBrowser !== '', withoutBrowser))
afterEach(() => leave().finally(cleanUp)) // a hook that fails keeps the next from running
afterAll(quit)

/** A server that can be killed and come back as itself: same port, same log. */
async function lasting(env: Record<string, string> = {}): Promise<{ server: Server; again: () => Promise<Server> }> {
  const settings = { PORT: `${await freePort()}`, LOG: `sqlite:${join(folder(), 'hub.db')}`, RETRY: '500ms', ...env }
  return { server: await start(settings), again: () => start(settings) }
}

/** What the seed's call answers. */
async function send({ url }: Server, message: string): Promise<{ id: string }> {
  return post(`${url}/send`, { message })
}

async function publish({ url }: Server, topic: string, ...data: string[]): Promise<void> {
  for (const one of data) await post(`${url}/send?topic=${topic}`, { data: one })
}

async function post(url: string, body: object): Promise<{ id: string }> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
  return (await answer.json()) as { id: string }
}

/** Resolves when every open stream has had its value repeated so many times. */
async function repeats({ port }: Server, times: number): Promise<Stream['reader']> {
  const stream = new Stream(port, '/event')
  // One more than asked: the others' seconds do not begin with ours.
  await stream.until(() => stream.reader.events.length > times + 1)
  stream.socket.destroy()
  return stream.reader
}

/** What happens meanwhile is done before the page can reach the server again. */
async function offline<T>(visit: Visit, meanwhile: () => Promise<T>): Promise<T> {
  await visit.page.context().setOffline(true)
  const result = await meanwhile()
  await visit.page.context().setOffline(false)
  return result
}

describe('the page', () => {
  test('opens live, with the default message', async () => {
    const visit = await open((await start()).url)
    await visit.is('Live')
    await visit.shows(DEFAULT)
  })

  test('shows everybody at once what somebody sent, each message once though it repeats every second', async () => {
    const server = await start()
    const visits = [await open(server.url), await open(server.url)]
    for (const visit of visits) await visit.shows(DEFAULT)
    await send(server, 'by POST')
    await fetch(`${server.url}/send?message=by%20GET`)
    for (const visit of visits) await visit.shows(DEFAULT, 'by POST', 'by GET')
    await send(server, 'by GET') // the same words again are another message
    await repeats(server, 2)
    for (const visit of visits) await visit.shows(DEFAULT, 'by POST', 'by GET', 'by GET')
  })

  test("shows a message with its id and with its time in the reader's own clock", async () => {
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

  test('sends what was written with Enter, and starts a new line with Shift and Enter', async () => {
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
    ['longer than an event may be', 61 * 1024, 'event_too_large'],
    ['longer than a body may be', 70 * 1024, 'body_too_large'],
  ])("keeps a refused message, %s, and shows the server's sentence", async (_, length, code) => {
    const { url } = await start()
    const visit = await open(url)
    await visit.shows(DEFAULT)
    const text = 'x'.repeat(length)
    await visit.says(text)
    const refusal = visit.page.getByRole('alert')
    await expect.poll(() => refusal.textContent()).toContain(code)
    expect(await refusal.textContent()).toMatch(/^Cannot .*bytes.*/)
    expect(await visit.page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe(text)
    expect(await visit.texts).toEqual([DEFAULT])
  })

  test('shows markup as the text it is and runs nothing of it', async () => {
    const server = await start()
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    const markup = '<img src=x onerror="window.ran = true; alert(1)"><script>window.ran = true</script>'
    await send(server, markup)
    await visit.shows(DEFAULT, markup)
    await visit.watches('chat')
    await publish(server, 'chat', markup)
    await visit.shows(markup)
    expect(await visit.page.locator('#log').locator('img, script').count()).toBe(0)
    expect(await visit.page.evaluate('window.ran')).toBeUndefined()
  })

  test('says at every moment when the server was last heard', async () => {
    const { server } = await lasting()
    const visit = await open(server.url)
    const heard = visit.page.locator('#heard')
    await visit.shows(DEFAULT)
    await repeats(server, 2)
    await expect.poll(() => heard.textContent()).toBe('last heard just now')
    await server.kill('SIGKILL')
    await expect.poll(() => heard.textContent(), { timeout: 5000 }).toMatch(/^last heard [2-5] s ago$/)
  })

  test("leaves the seed's own script working: EventSource on /event gets a message and its time", async () => {
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

describe('the page comes back by itself', () => {
  test.each(['SIGKILL', 'SIGTERM'] as const)(
    'after %s, with everything that was said meanwhile, once and in order',
    async (signal) => {
      const { server, again } = await lasting()
      const visit = await open(server.url)
      await visit.shows(DEFAULT)
      await send(server, 'before')
      await visit.shows(DEFAULT, 'before')
      await server.kill(signal)
      await visit.is('Reconnecting')
      const back = await offline(visit, async () => {
        const back = await again()
        for (const message of ['1', '2', '3']) await send(back, message)
        expect(await back.readers()).toBe(0)
        return back
      })
      await visit.is('Live')
      await visit.shows(DEFAULT, 'before', '1', '2', '3')
      await repeats(back, 2)
      expect(await visit.texts).toEqual([DEFAULT, 'before', '1', '2', '3'])
      await send(back, 'after')
      await visit.shows(DEFAULT, 'before', '1', '2', '3', 'after')
    },
  )

  test('without showing the default message again, whose time is that of the start', async () => {
    const { server, again } = await lasting()
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

  test('and shows a gap where something can no longer be delivered', async () => {
    const { server, again } = await lasting({ TOPIC_RETENTION_COUNT: '2', WINDOW_COUNT: '1' })
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.is('Live')
    await publish(server, 'chat', '1')
    await visit.shows('1')
    await server.kill('SIGKILL')
    await visit.is('Reconnecting')
    await offline(visit, async () => publish(await again(), 'chat', '2', '3', '4', '5'))
    await visit.is('Gap')
    await visit.shows('1', '4', '5')
    const rows = visit.page.locator('#messages li')
    expect(await rows.nth(1).textContent()).toMatch(
      /Some messages can no longer be delivered: the server no longer keeps messages that old\.Missing: after \S+-1 up to \S+-3$/,
    )
    expect(await rows.count()).toBe(4)
    await visit.is('Live')
  })
})

describe('the topic field', () => {
  test('watches a topic and publishes to it, and the address keeps it over a reload', async () => {
    const server = await start()
    const visit = await open(server.url)
    const other = await open(`${server.url}/?topic=chat/room-1`)
    await visit.watches('chat/room-1')
    await other.is('Live')
    expect(new URL(visit.page.url()).search).toBe('?topic=chat/room-1')
    await publish(server, 'chat/room-2', 'elsewhere')
    await publish(server, 'chat/room-1', 'from outside')
    await visit.says('from the page')
    for (const each of [visit, other]) await each.shows('from outside', 'from the page')
    await visit.page.reload()
    await visit.is('Live')
    expect(await visit.page.getByRole('textbox', { name: 'Topic', exact: true }).inputValue()).toBe('chat/room-1')
    await publish(server, 'chat/room-1', 'after the reload')
    await visit.shows('after the reload')
  })

  test('watches a pattern, and then asks which topic a message is for', async () => {
    const server = await start()
    const visit = await open(server.url)
    await visit.watches('sensors/*')
    await publish(server, 'sensors/door', 'open')
    const to = visit.page.getByRole('combobox', { name: 'To topic' })
    expect(await to.inputValue()).toBe('sensors/')
    await to.fill('sensors/window')
    await visit.says('closed')
    await visit.shows('open', 'closed')
  })

  test('is where the keyboard goes back to when it holds no topic', async () => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=sensors/*`)
    const { page } = visit
    await visit.says('closed') // to "sensors/", which only begins one
    await expect.poll(() => page.getByRole('alert').textContent()).toContain('topic_invalid')
    const to = page.getByRole('combobox', { name: 'To topic' })
    expect(await to.getAttribute('aria-invalid')).toBe('true')
    expect(await to.evaluate((field) => field === document.activeElement)).toBe(true)
  })

  test('listens for named events that were asked for', async () => {
    const server = await start()
    const visit = await open(`${server.url}/?topic=house&event=alert`)
    await visit.is('Live')
    await post(`${server.url}/send?topic=house`, { data: 'unseen', event: 'other' })
    await post(`${server.url}/send?topic=house`, { data: 'fire', event: 'alert' })
    await visit.shows('fire')
    expect(await visit.page.locator('#messages .name').textContent()).toBe('alert')
  })

  test("shows the server's sentence about what is no topic", async () => {
    const { url } = await start()
    const visit = await open(`${url}/?topic=a//b`)
    await expect
      .poll(() => visit.page.locator('#state .detail').textContent(), { timeout: 5000 })
      .toMatch(/^The server refused: Cannot use "a\/\/b"/)
  })
})

describe('everybody can use the page', () => {
  test('with the keyboard alone: Tab leads from the topic over the list to the message and Send', async () => {
    const { url } = await start()
    const { page } = await open(url)
    const reached: string[] = []
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate(() => document.activeElement!.id || document.activeElement!.textContent!.trim()))
    }
    expect(reached).toEqual(['topic', 'Watch', 'Options', 'log', 'message', 'Send'])
  })

  test('with a screen reader: every field has a label, the list is a log, the state a status', async () => {
    const { url } = await start()
    const { page } = await open(`${url}/?topic=sensors/*`)
    await page.getByText('Options').press('Enter')
    for (const name of ['Topic', 'Also listen for event names', 'Message'])
      expect(await page.getByRole('textbox', { name, exact: true }).isVisible(), name).toBe(true)
    expect(await page.getByRole('combobox', { name: 'To topic' }).isVisible()).toBe(true)
    expect(await page.locator('input, textarea, select').count()).toBe(4)
    expect(await page.getByRole('log', { name: 'Messages' }).count()).toBe(1)
    expect(await page.getByRole('status').first().getAttribute('id')).toBe('state')
  })

  test('on a phone: nothing is wider than 360 px, however long a word is', async () => {
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
  ] as const)('in the %s scheme that they chose', async (colorScheme, [least, most]) => {
    const { url } = await start()
    const { page } = await open(url, { colorScheme })
    const colour = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    for (const part of colour.match(/\d+/g)!.map(Number)) {
      expect(part).toBeGreaterThanOrEqual(least)
      expect(part).toBeLessThanOrEqual(most)
    }
  })
})
