import { describe, expect, test } from 'vitest'
import { SECRET, token } from '../auth/suite.ts'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { prepareBrowsers } from './hooks.ts'

/** Tests of the page of a hub that wants tokens. */

const { open, openBeside } = chromium
const grant = { subscribe: ['chat/*', '$store'], publish: ['chat/*'] }

prepareBrowsers(chromium)

/** A hub at localhost, where browsers keep its cookies without TLS. */
async function closedHub() {
  const { port } = await start({ AUTH_SECRET: SECRET, RETRY: '500ms' })
  return `http://localhost:${port}`
}

describe('a closed hub', () => {
  test.each([
    ['the demo stream', '/', 'This is a server-sent event'],
    ['a topic', '/?topic=chat/a', 'said before'],
  ])('shows %s after signing in, and the card again after signing out', async (_, path, text) => {
    const url = await closedHub()
    const headers = { authorization: `Bearer ${await token(grant)}` }
    await fetch(`${url}/send?topic=chat/a`, { method: 'POST', headers, body: 'said before' })
    const visit = await open(url + path)
    const { page } = visit
    await visit.is('Refused', /^This hub needs a token\.$/)
    await page.getByText('It shows messages only to those who have a token.').waitFor()
    const card = page.getByRole('form', { name: 'Sign in to this hub' })
    await page.getByLabel('Token').fill('nonsense')
    await page.keyboard.press('Enter')
    await expect.poll(() => card.getByRole('alert').textContent()).toMatch(/^Cannot /)
    await page.getByLabel('Token').fill(await token(grant))
    await page.keyboard.press('Enter')
    await visit.is('Live')
    await visit.shows(text)
    expect(await card.isVisible()).toBe(false)
    expect(await page.locator('#curl').textContent()).toContain('"authorization: Bearer $TOKEN"')
    await page.reload()
    await visit.shows(text)
    await page.getByText('Help').click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await visit.is('Refused')
    expect(await card.isVisible()).toBe(true)
    expect(await page.getByText('Sign out').isVisible()).toBe(false)
  })

  test('is signed into, and out of, in all tabs of a person at once', async () => {
    const url = await closedHub()
    const first = await open(url)
    const second = await openBeside(first, url)
    const { page } = second
    for (const tab of [first, second]) await tab.is('Refused')
    await page.getByLabel('Token').fill(await token(grant))
    await page.keyboard.press('Enter')
    for (const tab of [first, second]) await tab.shows('This is a server-sent event')
    await first.page.bringToFront() // a hidden tab is never stable enough to be clicked
    await first.page.getByText('Help').click()
    await first.page.getByRole('button', { name: 'Sign out' }).click()
    for (const tab of [first, second]) await tab.is('Refused')
  })

  test('is signed into in one tab although another tab was refused and has not heard of it', async () => {
    const url = await closedHub()
    const refused = await open(url)
    const deafen = () => addEventListener('storage', (event) => event.stopImmediatePropagation())
    await refused.page.addInitScript(deafen)
    await refused.page.reload()
    await refused.is('Refused')
    const visit = await openBeside(refused, url)
    const { page } = visit
    await visit.is('Refused')
    await page.getByLabel('Token').fill(await token(grant))
    await page.keyboard.press('Enter')
    await visit.shows('This is a server-sent event')
    await page.getByText('Help').click()
    await page.getByRole('button', { name: 'Sign out' }).waitFor()
  })

  test('that refuses the demo stream is not asked again by the page', { timeout: 40_000 }, async () => {
    const visit = await open(await closedHub())
    await visit.is('Refused')
    let requests = 0
    visit.page.on('request', () => requests++)
    await visit.page.waitForTimeout(15_000) // a tab that hears nothing for 13 s takes over
    expect(requests).toBe(0)
  })

  test('says why when the token is valid and the browser did not keep the cookie', async () => {
    const url = await closedHub()
    const { page } = await open(url)
    await page.route('**/login', (route) => route.fulfill({ json: { expiresAt: '2030-01-01T00:00:00Z' } }))
    await page.getByLabel('Token').fill(await token(grant))
    await page.keyboard.press('Enter')
    await page.getByText(/^The token is valid, but your browser did not keep the sign-in cookie/).waitFor()
  })

  test('says which topics the token does not allow', async () => {
    const url = await closedHub()
    const visit = await open(url)
    await visit.page.getByLabel('Token').fill(await token(grant))
    await visit.page.keyboard.press('Enter')
    await visit.is('Live')
    await visit.page.locator('#topic').fill('other')
    await visit.page.keyboard.press('Enter')
    await visit.is('Refused')
    await visit.page.getByText(/^Cannot subscribe "other".*You are signed in\. Enter a topic/).waitFor()
  })
})
