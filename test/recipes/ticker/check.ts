import { expect } from 'vitest'
import { isLive, picture, Recipe } from '../recipe.ts'
import { Tunnel } from './tunnel.ts'

/** A reader that was in a tunnel gets the newest price of each name, and not the prices that it has missed. */
export async function check(): Promise<void> {
  const ticker = await Recipe.start('ticker')
  const tunnel = await Tunnel.to(Number(new URL(ticker.url).port))
  try {
    const price = (price: number) => ticker.publish({ topic: 'prices/GOLD', data: { price } })
    await price(241_000)
    const page = await ticker.open(`http://localhost:${tunnel.port}/`)
    const gold = () => page.locator('tr:has(th:text-is("GOLD")) th').allTextContents()
    await expect.poll(gold).toEqual(['GOLD', '2410.00', '+0.00 %', '1'])
    await expect.poll(() => page.locator('tbody tr').count()).toBe(9)

    tunnel.darken()
    await expect.poll(() => page.evaluate(() => document.body.dataset.state)).toBe('reconnecting')
    for (let i = 1; i <= 50; i++) await price(241_000 + 10 * i)
    tunnel.isDark = false
    await page.evaluate(() => dispatchEvent(new Event('online'))) // as the system tells it behind a tunnel
    await isLive(page)
    await expect.poll(gold).toEqual(['GOLD', '2415.00', '+0.21 %', '2'])
    await expect.poll(async () => Number(await page.locator('#skips').textContent())).toBeGreaterThan(0)
    await picture(page, 'ticker')

    await ticker.kill()
    await ticker.start()
    await isLive(page)
    await expect.poll(() => page.locator('tbody tr').count()).toBe(8)
  } finally {
    tunnel.close()
  }
}
