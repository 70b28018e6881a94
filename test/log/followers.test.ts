import process from 'node:process'
import { afterEach, expect, test } from 'vitest'
import { memoryLog } from '../../src/log/memory.ts'

const before = process.listeners('uncaughtException')

afterEach(() => {
  process.removeAllListeners('uncaughtException')
  for (const listener of before) process.on('uncaughtException', listener)
})

test('a follower that throws stops neither the log nor other followers, and its error is uncaught', async () => {
  const log = memoryLog()
  const uncaught: unknown[] = []
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => uncaught.push(error))
  const got: number[] = []
  await log.follow(() => {
    throw new Error('at fault')
  })
  await log.follow((entries) => got.push(...entries.map(({ seq }) => seq)))
  await log.append([{ topic: 'a', data: '1' }])
  await log.append([{ topic: 'a', data: '2' }])
  await expect.poll(() => uncaught.length).toBe(2)
  expect(got).toEqual([1, 2])
})
