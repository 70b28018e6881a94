import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { isLive, picture, Recipe } from '../recipe.ts'

/** Dots arrive where their players have moved them, and go with their players, whether those leave or crash. */
export async function check(): Promise<void> {
  const dots = await Recipe.start('dots')
  const [one, two, crashing] = [await dots.open(), await dots.open(), await dots.open()]
  await circle(one, 450, 150)
  await expect.poll(() => places(two)).toEqual(await places(one))
  await circle(two, 800, 250)
  await circle(crashing, 620, 320)
  for (const page of [one, two]) await expect.poll(() => places(page)).toHaveLength(3)
  for (const page of [one, two]) await expect.poll(() => places(page)).toEqual(await places(crashing))
  await picture(one, 'dots')

  await crashing.context().setOffline(true)
  await expect.poll(() => places(one)).toHaveLength(2)

  await dots.kill()
  await dots.start()
  for (const page of [one, two]) {
    await isLive(page)
    await expect.poll(() => places(page)).toHaveLength(2)
  }

  const late = await dots.open()
  await expect.poll(() => places(late)).toHaveLength(2)
  await two.close({ runBeforeUnload: true })
  await expect.poll(() => places(one), { timeout: 3000 }).toHaveLength(1)
}

/** Moves the pointer in a hundred small steps. */
async function circle(page: Page, x: number, y: number): Promise<void> {
  for (let i = 0; i <= 100; i++) await page.mouse.move(x + 60 * Math.cos(i / 16), y + 40 * Math.sin(i / 16))
}

const places = (page: Page) =>
  page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('.dot')].map(({ style }) => `${style.left} ${style.top}`).sort(),
  )
