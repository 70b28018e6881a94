import { afterEach, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'

/** More turns than a request takes until its answer. */
const TURNS = 60

let hub: Hub
afterEach(() => hub.close())

test.each([
  ['a stream', 'text/event-stream'],
  ['a long poll', 'application/json'],
])('a client that requests %s and disconnects at any moment leaves no reader behind', async (_, accept) => {
  hub = new Hub(memoryLog)
  const app = createApp({ hub })
  for (let turns = 0; turns < TURNS; turns++) {
    const client = new AbortController()
    const asked = new Request('http://localhost/event?topic=a&wait=30', { headers: { accept }, signal: client.signal })
    const answered = app.fetch(asked)
    for (let turn = 0; turn < turns; turn++) await undefined
    client.abort()
    await answered
    await expect.poll(() => hub.readers, { message: `gone after ${turns} turns` }).toBe(0)
  }
})
