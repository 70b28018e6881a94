import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** A poll counts the newest vote of each person, goes on after a restart, and begins anew with another question. */
export async function check(): Promise<void> {
  const poll = await Recipe.start('vue')
  const ask = (id: number, text: string, ...answers: string[]) =>
    poll.publish({ topic: 'poll/question', data: { id, text, answers } })
  await ask(1, 'What do we drink?', 'Tea', 'Coffee')
  const [one, two, three] = [await poll.open(), await poll.open(), await poll.open()]
  const all = [one, two, three]
  for (const page of all) await shows(page, 'h2', ['What do we drink?'])
  await one.click('button:has-text("Tea")')
  await two.click('button:has-text("Coffee")')
  for (const page of all) await shows(page, '.votes', ['50%', '50%'])
  await two.click('button:has-text("Tea")')
  for (const page of all) await shows(page, '.votes', ['100%', '0%'])
  await shows(two, '.mine', [/Tea/])

  await poll.kill()
  await three.click('button:has-text("Coffee")')
  await poll.start()
  for (const page of all) {
    await isLive(page)
    await shows(page, '.votes', ['67%', '33%'])
  }
  await shows(await poll.open(), '.votes', ['67%', '33%'])
  await picture(one, 'vue')

  await ask(2, 'And <b>lunch</b>?', 'Soup', 'Rice', 'Cake')
  for (const page of all) await shows(page, 'h2', ['And <b>lunch</b>?'])
  await three.click('button:has-text("Rice")')
  for (const page of all) await shows(page, '.votes', ['0%', '100%', '0%'])
}
