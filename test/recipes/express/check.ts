import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { chromium } from '../../browser/chromium.ts'
import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** Notifications reach all tabs of their user and nobody else, also those of an outage; what one tab marks as read, all do. */
export async function check(): Promise<void> {
  const shop = await Recipe.start('express', { SECRET: 'the same after a restart' })
  const order = async (user: string, text: string) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${shop.url}/orders/${user}`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ text }),
    })
    expect(answer.status).toBe(204)
  }
  const logIn = async (user: string): Promise<Page> => {
    const page = await chromium.newPage()
    await page.goto(shop.url)
    await page.fill('input', user)
    await page.press('input', 'Enter')
    await isLive(page)
    return page
  }
  const ann = await logIn('ann')
  const tab = await ann.context().newPage()
  await tab.goto(shop.url)
  await isLive(tab)
  const bob = await logIn('bob')
  await order('ann', 'Your order is on its way')
  await order('bob', 'Bob, <i>pay</i>!')
  for (const page of [ann, tab]) await shows(page, 'li.unread', ['Your order is on its way'])
  await shows(bob, 'li.unread', ['Bob, <i>pay</i>!'])
  await tab.click('main button')
  for (const page of [ann, tab]) await shows(page, '#unread', [''])

  await shop.kill()
  await shop.start()
  await order('ann', 'Your order has arrived')
  for (const page of [ann, tab]) await shows(page, 'li', ['Your order has arrived', 'Your order is on its way'])
  await shows(ann, '#unread', ['1'])
  await shows(bob, '#unread', ['1'])
  await picture(ann, 'express')

  const asBob = {
    headers: { cookie: (await bob.context().cookies()).map(({ name, value }) => `${name}=${value}`).join() },
  }
  expect((await fetch(`${shop.url}/live/event?topic=users/bob&last=1`, asBob)).status).toBe(200)
  expect((await fetch(`${shop.url}/live/event?topic=users/ann&last=1`, asBob)).status).toBe(403)
  const forged = { headers: { cookie: asBob.headers.cookie.replace('bob.', 'ann.') } }
  expect((await fetch(`${shop.url}/live/event?topic=users/ann&last=1`, forged)).status).toBe(401)
}
