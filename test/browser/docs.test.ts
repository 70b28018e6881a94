import { expect, test } from 'vitest'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests of the page at /docs. axe.test.ts tests it too. */

const { open } = chromium

prepareBrowsers(chromium)

test('/docs says how to subscribe and how to get a token, at its own address, is dark for who wants it, and leads home', async () => {
  const { url } = await start()
  const { page } = await open(`${url}/docs`, { colorScheme: 'dark' })
  await page.getByText(`curl -N '${url}/event?topic=chat/*&last=10'`).waitFor()
  await page.getByRole('heading', { name: 'Get a token' }).waitFor()
  await page.locator('.opblock').first().waitFor()
  const background = await page.evaluate(() => getComputedStyle(document.querySelector('#docs .swagger-ui')!).color)
  expect(Math.min(...background.match(/\d+/g)!.slice(0, 3).map(Number))).toBeGreaterThan(150) // light text
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
  await page.getByRole('link', { name: 'Tidings' }).click()
  await page.getByText('This is a server-sent event').waitFor()
  expect(page.url()).toBe(`${url}/`)
})

test('/docs has its guide and a link to the description where Swagger UI is missing', async () => {
  const { url } = await start()
  const page = await chromium.newPage()
  await page.route('**/docs/swagger-ui*', (route) => route.fulfill({ status: 404, body: 'Page not found' }))
  await page.goto(`${url}/docs`)
  await page.getByText(`curl -N '${url}/event?topic=chat/*&last=10'`).waitFor()
  await page.getByRole('link', { name: 'openapi.json' }).click()
  await page.getByText('"openapi":"3.1').waitFor()
})
