import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'

const ITEMS = 2000
const COMMIT_MS = 25

test('while the log commits slowly, more and more items of a streamed body go into one commit', async () => {
  const log = memoryLog()
  const append = log.append.bind(log)
  const sizes: number[] = []
  log.append = async (messages) => {
    sizes.push(messages.length)
    await pause(COMMIT_MS)
    return append(messages)
  }
  const hub = new Hub(() => log)
  const body = Array.from({ length: ITEMS }, (_, i) => `{"data":"${i}"}\n`).join('')
  const headers = { 'content-type': 'application/x-ndjson' }
  const response = await createApp({ hub }).request('/send?topic=a', { method: 'POST', body, headers })
  expect(await response.json()).toMatchObject({ taken: ITEMS })
  expect(sizes.slice(0, 4)).toEqual([32, 64, 128, 256])
  expect(sizes.length).toBeLessThanOrEqual(4 + Math.ceil((ITEMS - 480) / 256))
  await hub.close()
})
