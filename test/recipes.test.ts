import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from './reader.ts'
import { cleanUp, freePort, type Server, start } from './server/server.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const recipes = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text!)
const without = ['bash', 'curl', 'sed', 'seq'].find((name) => spawnSync(name, ['--version']).error)

let server: Server

beforeAll(async () => {
  server = await start()
})
afterAll(cleanUp)

/** Runs a recipe of the README unchanged except for its ports, and ends what it leaves running. */
async function follow(recipe: string): Promise<string> {
  const text = recipe.replaceAll('localhost:3000', `127.0.0.1:${server.port}`).replaceAll('8000', `${await freePort()}`)
  const shell = spawn('bash', ['-c', text], {
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let said = ''
  for (const pipe of [shell.stdout, shell.stderr]) pipe.setEncoding('utf8').on('data', (part) => (said += part))
  const [code] = await once(shell, 'exit')
  try {
    process.kill(-shell.pid!, 'SIGTERM')
  } catch {
    // Nothing is left running.
  }
  expect([code, said]).toEqual([0, said])
  return said
}

const recipeWith = (text: string) => recipes.find((recipe) => recipe.includes(text))!

describe('a recipe of the README', () => {
  test.skipIf(without)(
    `pipes an event stream into a topic that others watch${without ? `: needs ${without}` : ''}`,
    async () => {
      const response = await fetch(`${server.url}/event?topic=ai/*`)
      const reader = new Reader().follow(response.body!)
      // The stand-in needs a moment until it listens, which a person spends typing.
      await follow(recipeWith('ai/answer-1').replace('\ncurl -sN', '\nsleep 1\ncurl -sN'))
      await expect.poll(() => reader.control('closed')).toEqual([{ topic: 'ai/answer-1' }])
      const words = 'Every word arrives as it is said'.split(' ')
      expect(reader.data).toEqual([...words.map((token) => JSON.stringify({ token })), '[DONE]'])
      await response.body!.cancel().catch(() => {})
    },
  )

  test.skipIf(without)(`publishes 100,000 lines, none twice${without ? `: needs ${without}` : ''}`, async () => {
    const recipe = recipeWith('seq 100000')
    const taken = JSON.parse(await follow(recipe))
    expect(taken).toMatchObject({ taken: 100_000, topic: 'numbers' })
    expect(JSON.parse(await follow(recipe))).toEqual({ ...taken, duplicates: 100_000 })
  })

  test.skipIf(without)(`publishes, polls, lists and deletes${without ? `: needs ${without}` : ''}`, async () => {
    const publish = recipeWith('"key":"m-1"').split('\n').slice(1).join('\n')
    expect(await follow(publish)).toContain('"ids"')
    expect(await follow(recipeWith('wait=30'))).toContain('"data":"plain text"')
    const { lastId } = (await (await fetch(`${server.url}/topics/chat/room-1`)).json()) as { lastId: string }
    const said = await follow(`ID=${lastId}\n${recipeWith('-X DELETE')}`)
    expect(said).toContain('"topic":"chat/room-1","erased":1}')
  })
})
