import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { chromium } from '../../browser/chromium.ts'
import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** A job tells its progress to all who look, is stopped by any of them, and ends when its server dies. */
export async function check(): Promise<void> {
  const jobs = await Recipe.start('job')
  const page = await chromium.newPage()
  await page.goto(jobs.url)
  await begin(page, 'node_modules')
  const other = await jobs.open(`/${new URL(page.url()).hash}`)
  for (const each of [page, other]) await expect.poll(() => value(each)).toBeGreaterThan(0)
  await picture(page, 'job')
  await other.click('#stop')
  for (const each of [page, other]) await shows(each, '#outcome', ['Stopped'])

  await begin(page, 'node_modules')
  await isLive(page)
  await expect.poll(() => value(page)).toBeGreaterThan(0)
  await jobs.kill()
  await jobs.start()
  await shows(page, '#outcome', ['The server of this job has died: start it again'])

  await begin(page, 'src')
  await shows(page, '#outcome', ['Done'])
  await shows(page, '#told', [/^(\d+) of \1 files: [0-9a-f]{64}$/])
  await page.reload()
  await shows(page, '#outcome', ['Done'])
  await shows(page, '#told', [/^(\d+) of \1 files: [0-9a-f]{64}$/])
}

/** Starts a job, whose address the page gets. */
async function begin(page: Page, folder: string): Promise<void> {
  const { hash } = new URL(page.url())
  await page.click(`button[value=${folder}]`)
  await expect.poll(() => new URL(page.url()).hash).not.toBe(hash)
  await page.waitForLoadState()
}

const value = (page: Page) => page.evaluate(() => document.querySelector('progress')!.value)
