import axe from 'axe-core'
import { describe, expect, test } from 'vitest'
import { SECRET } from '../auth/suite.ts'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { post } from './client.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests that axe finds nothing serious, in both colour schemes. */

const { open } = chromium

prepareBrowsers(chromium)

type Found = { id: string; impact: string; nodes: { target: string[] }[] }

/** A hub with something to see, and one that wants a token. */
async function scene() {
  const { url } = await start()
  const closed = await start({ AUTH_SECRET: SECRET })
  await post(`${url}/send?topic=chat/a`, { data: { a: 'JSON value', of: ['some', 'length'] }, event: 'said' })
  await post(`${url}/send?topic=chat/b`, { data: 'the last', close: true })
  await fetch(`${url}/runs/ai/answer?lease=60s`, { method: 'POST' })
  const paths = ['/', '/?topic=nothing', '/?topic=chat/*', '/?topic=chat/b', '/?topic=ai/answer', '/?topic=a//b']
  return [...paths.map((path) => url + path), closed.url, `${url}/docs`]
}

describe('axe finds nothing serious', () => {
  test.each(['light', 'dark'] as const)('in the %s page and in /docs', { timeout: 180_000 }, async (colorScheme) => {
    const [first, ...others] = await scene()
    const { page } = await open(first!, { colorScheme, bypassCSP: true, viewport: { width: 400, height: 800 } })
    for (const url of [first!, ...others]) {
      await page.goto(url)
      await page.locator('.opblock, #state:not([data-state="connecting"])').first().waitFor()
      await page.evaluate(() => document.querySelector('#help')?.setAttribute('open', ''))
      await page.emulateMedia({ reducedMotion: 'reduce' })
      await page.evaluate(axe.source)
      const found = await page.evaluate<{ violations: Found[] }>('axe.run({ resultTypes: ["violations"] })')
      const serious = found.violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 4).map(({ target }) => target.join()) }))
      expect({ url, serious }).toEqual({ url, serious: [] })
    }
  })
})
