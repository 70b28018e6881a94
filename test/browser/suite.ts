import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Runtime } from '../server/runtimes.ts'
import { cleanUp, type Server, start } from '../server/server.ts'
import type { Browser } from './browser.ts'
import { lasting, post, publish, repeats, send } from './client.ts'

const DEFAULT = 'This is a server-sent event'

/** Tests the page's promises in any browser and on any runtime. The tests share one server, in this order. */
export function pageSuite(browser: Browser, runtime: Runtime): void {
  describe(`the page on ${runtime.name}, in ${browser.name}`, () => {
    let settings: Record<string, string>
    let server: Server
    const open = (path = '/') => browser.open(server.url + path)
    const openTwo = () => Promise.all([open(), open()])

    beforeEach(async (context) => {
      context.skip(browser.missing !== '', browser.missing)
      settings ??= await lasting()
      server ??= await start(settings, runtime)
    })
    afterEach(() => browser.leave())
    afterAll(cleanUp)

    test('opens live, with the default message', async () => {
      const visit = await open()
      await visit.is('Live')
      await visit.shows(DEFAULT)
    })

    test('shows a new message to everybody at once, and only once although the stream repeats it', async () => {
      await send(server, 'before')
      const visits = await openTwo()
      for (const visit of visits) await visit.shows('before')
      await send(server, 'by POST')
      await fetch(`${server.url}/send?message=by%20GET`)
      for (const visit of visits) await visit.shows('before', 'by POST', 'by GET')
      await send(server, 'by GET') // the same text again is another message
      await repeats(server, 1)
      for (const visit of visits) await visit.shows('before', 'by POST', 'by GET', 'by GET')
    })

    test('sends a typed message to everybody', async () => {
      await send(server, 'before')
      const [writer, other] = await openTwo()
      for (const visit of [writer, other]) await visit.shows('before')
      await writer.says('typed')
      for (const visit of [writer, other]) await visit.shows('before', 'typed')
    })

    test('shows markup as text and runs none of it', async () => {
      const markup = '<img src=x onerror="window.ran = true; alert(1)"><script>window.ran = true</script>'
      await send(server, 'before')
      const visit = await open()
      await visit.shows('before')
      await send(server, markup)
      await visit.shows('before', markup)
      await visit.watches('markup')
      await publish(server, 'markup', markup)
      await visit.shows(markup)
      const { made, ran } = await visit.page.evaluate(() => ({
        made: document.querySelectorAll('#log :is(img, script)').length,
        ran: 'ran' in window,
      }))
      expect({ made, ran }).toEqual({ made: 0, ran: false })
    })

    test('watches a topic and publishes to it', async () => {
      const [visit, other] = await Promise.all([open(), open('/?topic=chat/room-1')])
      await visit.watches('chat/room-1')
      await other.is('Live')
      expect(new URL(visit.page.url()).search).toBe('?topic=chat/room-1')
      await publish(server, 'chat/room-2', 'elsewhere')
      await publish(server, 'chat/room-1', 'from outside')
      await visit.says('from the page')
      for (const each of [visit, other]) await each.shows('from outside', 'from the page')
    })

    test('watches a pattern, and publishes to the topic named beside it', async () => {
      const visit = await open()
      await visit.watches('sensors/*')
      await publish(server, 'sensors/door', 'open')
      await visit.addresses('sensors/window')
      await visit.says('closed')
      await visit.shows('open', 'closed')
    })

    test('begins with what is stored, names the topic and the event of each message, and goes back', async () => {
      await post(`${server.url}/send?topic=house/door`, { data: 'opened', event: 'alert' })
      await publish(server, 'house/window', 'closed')
      const visit = await open('/?topic=house/*')
      await visit.shows('opened', 'closed')
      const tags = await visit.page.evaluate(() =>
        [...document.querySelectorAll('.tags')].map(({ textContent }) => textContent!.trim()),
      )
      expect(tags).toEqual(['house/door alert', 'house/window'])
      await visit.watches('house/window')
      await visit.shows('closed')
      await visit.page.evaluate(() => history.back())
      await visit.shows('opened', 'closed')
    })

    test('says why it is refused, and does not reconnect', async () => {
      const visit = await open('/?topic=a//b')
      await visit.is('Refused', /^Cannot use "a\/\/b"/)
    })

    test('is served with a strict policy, which the browser enforces', async () => {
      const { headers } = await fetch(server.url)
      expect(headers.get('content-security-policy')!.split('; ')).toEqual(
        expect.arrayContaining([
          ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"],
          ...["base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"],
        ]),
      )
      const visit = await open()
      await visit.page.evaluate(
        () =>
          new Promise<void>((resolve) => {
            document.addEventListener('securitypolicyviolation', () => resolve())
            new Image().src = 'data:,'
          }),
      )
      // Clears the violation, which would otherwise fail the next test.
      await expect(browser.leave()).rejects.toThrow('policy: img-src blocked data')
    })

    test('reconnects by itself after kill -9, and shows everything published meanwhile, once and in order', {
      timeout: 180_000, // wrangler takes 3 to 6 s to start, and longer on a busy machine
    }, async () => {
      await send(server, 'before')
      const visit = await open()
      await visit.shows('before')
      await server.kill('SIGKILL')
      await visit.is('Reconnecting')
      await visit.offline(async () => {
        server = await start(settings, runtime)
        for (const message of ['1', '2', '3']) await send(server, message)
        expect(await server.readers()).toBe(0)
      })
      await visit.is('Live')
      await visit.shows('before', '1', '2', '3')
      await repeats(server, 1)
      await send(server, 'after')
      await visit.shows('before', '1', '2', '3', 'after')
    })
  })
}
