import { expect } from 'vitest'
import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** A chat shows who is here: who joins, who leaves, and who crashes. A restart of the server changes nothing of that. */
export async function check(): Promise<void> {
  const chat = await Recipe.start('chat')
  const ann = await chat.open('/?name=ann')
  await shows(ann, '#here li', ['ann'])
  const bob = await chat.open('/?name=bob')
  const eve = await chat.open('/?name=eve')
  for (const page of [ann, bob, eve]) await shows(page, '#here li', ['ann', 'bob', 'eve'])
  const say = async (page: typeof ann, text: string) => {
    await page.fill('input', text)
    await page.press('input', 'Enter')
  }
  await say(ann, 'Who is here?')
  await say(bob, 'Me. And is <b> bold here?')
  await shows(eve, '.said', ['ann: Who is here?', 'bob: Me. And is <b> bold here?'])
  await picture(ann, 'chat')

  await chat.kill()
  await say(bob, 'Is the server away?')
  await chat.start()
  await chat.publish({ topic: 'rooms/lobby', data: { by: 'server', text: 'No' } })
  for (const page of [ann, bob, eve]) {
    await isLive(page)
    const texts = async () => (await page.locator('.said').allTextContents()).slice(2).sort()
    await expect.poll(texts).toEqual(['bob: Is the server away?', 'server: No'])
  }
  await shows(ann, '#here li', ['ann', 'bob', 'eve'])

  await bob.close({ runBeforeUnload: true })
  // Whether ann sees herself join depends on how fast her page is.
  await shows(ann, '.quiet:not(:text-is("ann joined"))', ['bob joined', 'eve joined', 'bob left'])
  await eve.context().setOffline(true)
  await shows(ann, '#here li', ['ann'])
  await shows(ann, '.quiet:last-child', ['eve has lost the connection'])
  await eve.context().setOffline(false)
  await shows(ann, '#here li', ['ann', 'eve'])
}
