import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import type { Runtime } from '../server/runtimes.ts'
import { folder, freePort, type Server, start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { prepareBrowsers } from './hooks.ts'

/** The recipe with the real useChat, over both transports. */
const recipe: Runtime = {
  name: 'recipe',
  command: () => [
    ...[process.execPath, '--conditions=tidings-source'],
    join(import.meta.dirname, '..', 'recipes', 'ai-chat', 'server.ts'),
  ],
  listens: /^Chat on http:\/\/127\.0\.0\.1:(\d+)$/m,
}
/** The model counts to this. */
const WORDS = 30
const settings = { WORDS: `${WORDS}`, WORD_MS: '50', LEASE_MS: '500' }
const whole = Array.from({ length: WORDS }, (_, i) => `${i + 1} `).join('')

const { open } = chromium

prepareBrowsers(chromium)

interface Tab {
  readonly page: Page
  /** The text of the last answer. */
  answer(): Promise<string>
  status(): Promise<string | null>
}

async function tab(url: string): Promise<Tab> {
  const { page } = await open(url)
  return {
    page,
    answer: async () => (await page.locator('li.assistant').allTextContents()).at(-1) ?? '',
    status: () => page.locator('[role=status]').textContent(),
  }
}

async function ask({ page }: Tab): Promise<void> {
  await page.getByRole('textbox').fill('Count!')
  await page.getByRole('button', { name: 'Send' }).click()
}

/** Resolves when an answer has this many words, or more. */
const counted = (tab: Tab, words: number) =>
  expect.poll(async () => (await tab.answer()).split(' ').length).toBeGreaterThan(words)

/** Resolves when the whole answer is there, each word once. */
async function finishes(tab: Tab): Promise<void> {
  await expect.poll(async () => [await tab.answer(), await tab.status()]).toEqual([whole, 'ready'])
}

const transports = ['tidings', 'default'] as const

describe.each(part(['tidings'] as const, transports))('useChat with the transport %s', (transport) => {
  const address = ({ url }: Server, chat = 'a/b c') => `${url}/?transport=${transport}&chat=${encodeURIComponent(chat)}`

  test('after a reload in the midst shows the whole answer, each word once', async () => {
    const first = await tab(address(await start(settings, recipe)))
    await ask(first)
    await counted(first, 5)
    await first.page.reload()
    await finishes(first)
    await first.page.reload() // the application has stored it
    await finishes(first)
  })
})

describe.each(part([], transports))('useChat with the transport %s', (transport) => {
  const address = ({ url }: Server) => `${url}/?transport=${transport}&chat=c`

  test('shows the answer in a second tab from its beginning, and after it each next one', async () => {
    const server = await start(settings, recipe)
    const first = await tab(address(server))
    await ask(first)
    await counted(first, 5)
    const second = await tab(address(server))
    await counted(second, 5)
    await Promise.all([finishes(first), finishes(second)])
    await ask(second)
    await counted(second, 3)
    await first.page.reload()
    await Promise.all([finishes(first), finishes(second)])
    expect(await first.page.locator('li.assistant').count()).toBe(2)
  })

  test('stops the answer in all tabs, keeps what there was, and can be asked again', async () => {
    const server = await start({ ...settings, WORDS: '10000' }, recipe)
    const first = await tab(address(server))
    await ask(first)
    await counted(first, 5)
    const second = await tab(address(server))
    await counted(second, 5)
    await second.page.getByRole('button', { name: 'Stop' }).click()
    for (const each of [first, second]) {
      await expect.poll(each.status).toBe('ready')
      expect(await each.answer()).toMatch(/^1 2 3 4 5 /)
      expect(await each.page.getByRole('alert').count()).toBe(0)
    }
    const said = await first.answer()
    await first.page.reload()
    await expect.poll(first.answer).toBe(said)
    await ask(first)
    await expect.poll(() => first.page.locator('li.assistant').count()).toBe(2)
    await first.page.getByRole('button', { name: 'Stop' }).click()
    await expect.poll(first.status).toBe('ready')
  })

  test('shows an error after what there was of an answer whose producer was killed, also after a reload', async () => {
    const PORT = `${await freePort()}`
    const hub = await start({ CORS_ORIGINS: `http://127.0.0.1:${PORT}` })
    const at = { ...settings, PORT, HUB_URL: hub.url }
    const producer = await start(at, recipe)
    const first = await tab(address(producer))
    await ask(first)
    await counted(first, 5)
    await producer.kill('SIGKILL')
    await start(at, recipe)
    if (transport === 'default') await first.page.reload() // the killed producer was its connection, too
    await expect.poll(() => first.page.getByRole('alert').textContent()).toMatch(/cut off/)
    const said = await first.answer()
    // What a producer sends to its own connection, too, may be there before the log has it: the last words can be lost.
    expect(said.split(' ').length).toBeGreaterThan(transport === 'default' ? 1 : 5)
    expect(whole.startsWith(said)).toBe(true)
    await first.page.reload()
    await expect.poll(() => first.page.getByRole('alert').textContent()).toMatch(/cut off/)
    expect(await first.answer()).toBe(said)
    await ask(first)
    await finishes(first)
  })

  test('shows the whole answer although its hub was killed in the midst', async () => {
    const PORT = `${await freePort()}`
    const CORS_ORIGINS = `http://127.0.0.1:${PORT}`
    const durable = { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db`, CORS_ORIGINS }
    const hub = await start(durable)
    const producer = await start({ ...settings, PORT, LEASE_MS: '10000', HUB_URL: hub.url }, recipe)
    const first = await tab(address(producer))
    await ask(first)
    await counted(first, 5)
    await hub.kill('SIGKILL')
    await new Promise((resolve) => setTimeout(resolve, 300)) // words are said meanwhile
    await start(durable)
    await finishes(first)
    expect(await first.page.getByRole('alert').count()).toBe(0)
    expect(producer.output).not.toContain('rror')
  })
})
