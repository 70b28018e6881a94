import { describe, expect, test } from 'vitest'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { post, publish } from './client.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests of what the list of the page shows of topics. */

const { open } = chromium

prepareBrowsers(chromium)

describe('the list', () => {
  test('begins with the last 50 stored messages, none of them announced or animated, and goes on', async () => {
    const server = await start()
    const numbers = Array.from({ length: 60 }, (_, i) => `${i}`)
    await post(
      `${server.url}/send`,
      numbers.map((data) => ({ topic: 'chat', data })),
    )
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.shows(...numbers.slice(10))
    expect(await visit.page.locator('.fresh').count()).toBe(0)
    expect(await visit.page.locator('#log').getAttribute('aria-live')).toBe('off')
    await visit.page.waitForTimeout(2000) // until the burst is over
    await publish(server, 'chat', 'new')
    await visit.shows(...numbers.slice(10), 'new')
    expect(await visit.page.locator('.fresh').allTextContents()).toEqual([expect.stringContaining('new')])
    expect(await visit.page.locator('#log').getAttribute('aria-live')).toBe('polite')
  })

  test('of a topic without messages says that it waits, and how to send one', async () => {
    const server = await start()
    const visit = await open(`${server.url}/?topic=chat`)
    const waiting = visit.page.getByText('Waiting for new messages on chat.')
    await waiting.waitFor()
    expect(await visit.page.locator('#curl').textContent()).toBe(`curl -d data=hello '${server.url}/send?topic=chat'`)
    await publish(server, 'chat', 'hello')
    await visit.shows('hello')
    expect(await waiting.isVisible()).toBe(false)
    expect(await visit.page.locator('#welcome').isVisible()).toBe(false)
  })

  test('names the topic of each message of a pattern, and the name of each named event', async () => {
    const server = await start()
    await post(`${server.url}/send?topic=house/door`, { data: 'opened', event: 'alert' })
    await publish(server, 'house/window', 'closed')
    const visit = await open(`${server.url}/?topic=house/*`)
    await visit.shows('opened', 'closed')
    const rows = await visit.page.locator('.message .tags').allInnerTexts()
    expect(rows.map((row) => row.trim().split(/\s+/))).toEqual([['house/door', 'alert'], ['house/window']])
    await visit.watches('house/door')
    await visit.shows('opened')
    expect(await visit.page.locator('.topic').count()).toBe(0)
    expect(await visit.page.locator('.name').textContent()).toBe('alert')
  })

  test('shows an id when its row is pointed at, and copies it by a click or by the keyboard', async () => {
    const server = await start()
    const { id } = await post(`${server.url}/send?topic=chat`, { data: 'hello' })
    const { page } = await open(`${server.url}/?topic=chat`, { permissions: ['clipboard-read', 'clipboard-write'] })
    const button = page.locator('.message .id')
    const opacity = () => button.evaluate((element) => getComputedStyle(element).opacity)
    await button.waitFor({ state: 'attached' })
    expect(await opacity()).toBe('0')
    await page.locator('.message').hover()
    expect(await opacity()).toBe('1')
    await button.click()
    await expect.poll(() => button.textContent()).toBe('Copied')
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(id)
    await expect.poll(() => button.textContent()).toBe(id)
    await page.evaluate(() => navigator.clipboard.writeText(''))
    await page.focus('#log')
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(id)
  })

  test('shows JSON in a monospaced font, indents it by a click, and changes none of its characters', async () => {
    const server = await start()
    const json = '{"n":1.50,"big":12345678901234567890,"list":[1,{"a":"x, [y]: \\"z\\""}],"none":{},"empty":[]}'
    await publish(server, 'chat', json, 'no {json}')
    const visit = await open(`${server.url}/?topic=chat`)
    const { page } = visit
    await visit.shows(json, 'no {json}')
    const body = page.locator('.text').first()
    expect(await body.evaluate((element) => getComputedStyle(element).fontFamily)).toContain('monospace')
    expect(await page.locator('.json').count()).toBe(1)
    await page.getByRole('button', { name: 'Indent' }).click()
    const indented = (await body.textContent())!
    expect(indented.split('\n')).toEqual([
      ...['{', '  "n": 1.50,', '  "big": 12345678901234567890,', '  "list": [', '    1,', '    {'],
      ...['      "a": "x, [y]: \\"z\\""', '    }', '  ],', '  "none": {},', '  "empty": []', '}'],
    ])
    await page.getByRole('button', { name: 'One line' }).click()
    expect(await body.textContent()).toBe(json)
  })

  test('offers no indentation for JSON that is short or has lines already', async () => {
    const server = await start()
    const lines = '{\n  "sensor": "door",\n  "state": "open and loud"\n}'
    await publish(server, 'chat', '{"n":1}', lines, '{"sensor":"door","state":"closed"}')
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.shows('{"n":1}', lines, '{"sensor":"door","state":"closed"}')
    const rows = visit.page.locator('.message')
    for (const [row, buttons] of [0, 0, 1].entries())
      expect(await rows.nth(row).getByRole('button', { name: 'Indent' }).count()).toBe(buttons)
  })

  test('indents JSON when it is asked to, not as it arrives: a row costs about as much as reading its JSON once', async () => {
    const { url } = await start()
    const { page } = await open(url)
    const { row, parse } = await page.evaluate<{
      row: number
      parse: number
    }>(`import('./row.js').then(({ messageRow }) => {
      const values = Array.from({ length: 4000 }, (_, id) => ({ id, name: 'sensor', values: [id, id + 1] }))
      const text = JSON.stringify(values)
      const fastest = (run) => Math.min(...Array.from({ length: 20 }, () => {
        const begun = performance.now()
        run()
        return performance.now() - begun
      }))
      return {
        row: fastest(() => messageRow({ id: 'e-1', topic: 'a', text, at: new Date(), name: '' }, false)),
        parse: fastest(() => JSON.parse(text)),
      }
    })`)
    expect(row).toBeLessThan(2.5 * parse)
  })

  test('keeps still while it is paused, counts what has arrived, and then shows all of it', async () => {
    const server = await start()
    await publish(server, 'chat', '1')
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.shows('1')
    await visit.page.getByRole('button', { name: 'Pause' }).click()
    await publish(server, 'chat', '2', '3')
    const resume = visit.page.getByRole('button', { name: 'Resume (2 new)' })
    await resume.waitFor()
    await visit.is('Paused')
    expect(await visit.texts).toEqual(['1'])
    await visit.page.getByLabel('Message to chat').fill('4')
    await visit.page.keyboard.press('Enter')
    await visit.page.getByRole('button', { name: 'Resume (3 new)' }).click()
    await visit.shows('1', '2', '3', '4')
    await visit.is('Live')
  })

  test('that is paused shows what has arrived also once its topic is closed, and can then not be paused again', async () => {
    const server = await start()
    await publish(server, 'chat', '1')
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.shows('1')
    await visit.page.getByRole('button', { name: 'Pause' }).click()
    await post(`${server.url}/send?topic=chat`, { data: '2', close: true })
    await visit.is('Closed')
    expect(await visit.texts).toEqual(['1'])
    await visit.page.getByRole('button', { name: 'Resume (2 new)' }).click()
    await visit.shows('1', '2', 'chat ended: done')
    expect(await visit.page.locator('#pause').isVisible()).toBe(false)
  })

  test('animates nothing in a burst, and lays it out at most some ten times a second', async () => {
    const server = await start()
    const visit = await open(`${server.url}/?topic=chat`)
    await visit.is('Live')
    await visit.page.evaluate(() => {
      const window = globalThis as unknown as { changes: number; fresh: number }
      window.changes = window.fresh = 0
      new MutationObserver((records) => {
        if (records.some(({ addedNodes }) => addedNodes.length > 0)) window.changes++
        window.fresh = Math.max(window.fresh, document.querySelectorAll('.fresh').length)
      }).observe(document.querySelector('#messages')!, { childList: true })
    })
    const begun = Date.now()
    const numbers = Array.from({ length: 600 }, (_, i) => `${i}`)
    for (let i = 0; i < 600; i += 10)
      await post(
        `${server.url}/send`,
        numbers.slice(i, i + 10).map((data) => ({ topic: 'chat', data })),
      )
    await visit.shows(...numbers.slice(-500))
    const seconds = (Date.now() - begun) / 1000
    const { changes, fresh } = await visit.page.evaluate(() => {
      const { changes, fresh } = globalThis as unknown as { changes: number; fresh: number }
      return { changes, fresh }
    })
    expect(changes).toBeLessThanOrEqual(12 * seconds + 8)
    expect(fresh).toBeLessThanOrEqual(8)
  })
})
