import { setTimeout as pause } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** Every host has a chart with its history, its alarm and its silence, and the time without the hub is a hole in it. */
export async function check(): Promise<void> {
  const dashboard = await Recipe.start('dashboard')
  const page = await dashboard.open()
  await expect.poll(() => samples(page)).toBeGreaterThan(3)
  await dashboard.publish({ topic: 'metrics/web-2', data: { cpu: 97, memory: 40 } })
  const other = 'article:has(h2:text-is("web-2"))'
  await shows(page, `${other}.alarm p`, [/^CPU 97 %, memory 40 %$/])
  await shows(page, `${other}.silent p`, [/^Silent for \d+ s$/])

  await dashboard.kill()
  const before = await samples(page)
  await pause(3500) // the hole
  await dashboard.start()
  await isLive(page)
  await expect.poll(() => samples(page)).toBeGreaterThan(before + 1)
  for (let i = 0; i < 12; i++) {
    await dashboard.publish({ topic: 'metrics/db-1', data: { cpu: 30 + ((17 * i) % 40), memory: 60 + i } })
    await pause(500)
  }
  const late = await dashboard.open()
  for (const each of [page, late]) await expect.poll(() => pieces(each)).toBeGreaterThan(1)
  expect(await samples(late)).toBeGreaterThan(before)
  expect(await page.locator('#gap').isVisible()).toBe(false)
  await picture(page, 'dashboard')
}

const line = async (page: Page) => (await page.locator('.cpu').first().getAttribute('d')) ?? ''
const samples = async (page: Page) => (await line(page)).split(/[ML]/).length - 1
const pieces = async (page: Page) => (await line(page)).split('M').length - 1
