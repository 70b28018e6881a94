import { expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { SECRET, token } from './suite.ts'

/** More topics than one page of the log. */
const OTHERS = 3000

test('a list of topics looks only at topics that its reader may see', async () => {
  const log = memoryLog()
  let looked = 0
  const topics = log.topics.bind(log)
  log.topics = async (query) => {
    const found = await topics(query)
    looked += found.length
    return found
  }
  const hub = new Hub(() => log)
  const app = createApp({ hub, config: parseConfig({ AUTH_SECRET: SECRET }) })
  const names = ['a/1', 'a/2', 'b', 'z/9', ...Array.from({ length: OTHERS }, (_, i) => `others/${i}`)]
  await hub.publish(names.map((topic) => ({ topic, data: 'x' })))
  const claims = { subscribe: ['z/*', 'a/2', 'a/**', 'b'] }
  const settings = { iss: undefined, aud: undefined }
  const listOf = async (query: string, headers: Record<string, string>) => {
    looked = 0
    const response = await app.request(`/topics${query}`, { headers })
    const list = (await response.json()) as { topics: { topic: string }[] }
    return list.topics.map(({ topic }) => topic)
  }
  const mine = { authorization: `Bearer ${await token(claims, settings)}` }
  const all = { authorization: `Bearer ${await token({ subscribe: ['**'] }, settings)}` }
  const nothing = { authorization: `Bearer ${await token({ publish: ['**'] }, settings)}` }

  expect(await listOf('', all)).toHaveLength(100)
  for (const headers of [{}, nothing]) expect([await listOf('', headers), looked]).toEqual([[], 0])
  expect(await listOf('', mine)).toEqual(['a/1', 'a/2', 'b', 'z/9'])
  expect(looked).toBe(4)
  expect(await listOf('?limit=2&after=a/1', mine)).toEqual(['a/2', 'b'])
  expect([await listOf('?prefix=a/', mine), looked]).toEqual([['a/1', 'a/2'], 2])
  expect([await listOf('?prefix=others', mine), looked]).toEqual([[], 0])
  expect(await listOf('?topic=z/**', mine)).toEqual(['z/9'])
  await hub.close()
})

test('a list stops searching when its client has disconnected', async () => {
  const log = memoryLog()
  const hub = new Hub(() => log)
  await hub.publish(Array.from({ length: OTHERS }, (_, i) => ({ topic: `others/${i}`, data: 'x' })))
  let pages = 0
  const topics = log.topics.bind(log)
  const client = new AbortController()
  log.topics = async (query) => {
    pages++
    client.abort()
    return topics(query)
  }
  await createApp({ hub }).request('/topics?topic=*/none', { signal: client.signal })
  expect(pages).toBe(1)
  await hub.close()
})
