import { expect } from 'vitest'
import { picture, Recipe, shows } from '../recipe.ts'

/** People who are followed are read on the open stream, and a post of an outage arrives once. */
export async function check(): Promise<void> {
  const timeline = await Recipe.start('timeline')
  await timeline.publish({ topic: 'posts/bob', data: 'Good morning, everybody' })
  await timeline.publish({ topic: 'posts/eve', data: 'Nobody follows me' })
  const ann = await timeline.open('/?me=ann')
  const bob = await timeline.open('/?me=bob')
  await shows(ann, '.text', [])

  const streams: string[] = []
  ann.on('request', (request) => {
    if (request.headers().accept !== 'application/json' && /event\?/.test(request.url())) streams.push(request.url())
  })
  await ann.fill('#follow input', 'bob')
  await ann.press('#follow input', 'Enter')
  await shows(ann, '.text', ['Good morning, everybody'])
  await bob.fill('#post input', 'Today I learned: <b> is not bold here')
  await bob.press('#post input', 'Enter')
  await shows(ann, '.text', ['Today I learned: <b> is not bold here', 'Good morning, everybody'])
  expect(streams).toEqual([])

  await ann.locator('.like').first().dblclick()
  await shows(bob, '.like', ['♥ 1', '♥ 0'])

  await timeline.kill()
  await bob.fill('#post input', 'Written while the server was away')
  await bob.press('#post input', 'Enter')
  await expect.poll(() => bob.evaluate(() => document.body.dataset.state)).toBe('reconnecting')
  await timeline.start()
  for (const page of [ann, bob])
    await shows(page, '.text', [
      'Written while the server was away',
      'Today I learned: <b> is not bold here',
      'Good morning, everybody',
    ])
  await bob.locator('.like').first().click()
  await shows(ann, '.like', ['♥ 1', '♥ 1', '♥ 0'])
  const poll = await fetch(`${timeline.url}/live/event?topic=likes/bob&from=earliest`, {
    headers: { accept: 'application/json' },
  })
  expect(((await poll.json()) as { events: unknown[] }).events).toHaveLength(2) // of three clicks
  await picture(ann, 'timeline')
}
