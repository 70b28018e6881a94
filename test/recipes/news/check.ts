import { expect } from 'vitest'
import { isLive, picture, Recipe, shows } from '../recipe.ts'

/** A story and its correction reach every reader, across an outage, and all tabs of a reader share one stream. */
export async function check(): Promise<void> {
  const news = await Recipe.start('news')
  const story = (section: string, slug: string, title: string, event?: string) =>
    news.publish({ topic: `news/${section}`, data: { slug, title, text: `${title}.` }, ...(event && { event }) })
  await story('world', 'moon', 'A second moon')
  const reader = await news.open()
  const other = await news.open()
  await story('sport', 'final', 'HTML turns 40, and <b> is still bold', 'breaking')
  for (const page of [reader, other]) await shows(page, 'h2', ['HTML turns 40, and <b> is still bold', 'A second moon'])
  await shows(reader, '.breaking h2', ['HTML turns 40, and <b> is still bold'])

  await news.kill()
  await news.start()
  await story('world', 'moon', 'No second moon')
  await story('arts', 'film', 'A film')
  for (const page of [reader, other]) {
    await isLive(page)
    await shows(page, 'h2', ['A film', 'HTML turns 40, and <b> is still bold', 'No second moon'])
  }
  await shows(reader, '#moon time', [/^Corrected/])
  expect(await reader.locator('#gap').isVisible()).toBe(false)

  const tab = await reader.context().newPage()
  await tab.goto(news.url)
  await shows(tab, 'h2', ['A film', 'HTML turns 40, and <b> is still bold', 'No second moon'])
  await shows(tab, '.new h2', [])
  expect(await news.readers()).toBe(2)
  await picture(reader, 'news')
}
