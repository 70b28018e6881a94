import { expect } from 'vitest'
import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** A list that two people edit is the same for both, also what one adds while the server is away. */
export async function check(): Promise<void> {
  const list = await Recipe.start('react')
  const [one, two] = [await list.open(), await list.open()]
  const add = async (page: typeof one, item: string) => {
    await page.fill('[name=item]', item)
    await page.press('[name=item]', 'Enter')
  }
  await add(one, 'Milk')
  await shows(two, 'label', ['Milk'])
  await add(two, 'Bread & butter')
  await two.click('label:has-text("Milk")')
  for (const page of [one, two]) {
    await shows(page, 'label', ['Milk', 'Bread & butter'])
    await shows(page, 'label:has(:checked)', ['Milk'])
  }
  expect(await list.readers()).toBe(2)

  await list.kill()
  await add(one, 'Apples')
  await list.start()
  for (const page of [one, two]) {
    await isLive(page)
    await shows(page, 'label', ['Milk', 'Bread & butter', 'Apples'])
  }
  await list.publish({ topic: 'lists/home', event: 'tick', data: 'Apples' })
  await shows(await list.open(), 'label:has(:checked)', ['Milk', 'Apples'])
  await picture(one, 'react')
}
