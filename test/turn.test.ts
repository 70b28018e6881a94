import { expect, test } from 'vitest'
import { afterTurn, Turns } from '../src/turn.ts'

/** Longer than anything else takes in one turn, also beside other tests. */
const LONG_MS = 40

test('tasks run in later turns and in order, and a long task has a turn for itself', async () => {
  const turns = new Turns()
  const ran: [number, number][] = []
  let turn = 0
  const count = () => {
    turn++
    if (ran.length < 4) afterTurn(count)
  }
  for (let task = 0; task < 4; task++)
    turns.run(() => {
      const until = performance.now() + LONG_MS
      while (performance.now() < until);
      ran.push([task, turn])
    })
  expect(ran).toEqual([])
  afterTurn(count)
  await expect.poll(() => ran.length).toBe(4)
  expect(ran.map(([task]) => task)).toEqual([0, 1, 2, 3])
  expect(new Set(ran.map(([, turn]) => turn)).size).toBe(4)
})

test('a task that throws does not stop the next one', async () => {
  const turns = new Turns()
  const errors: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => errors.push(error))
  const ran: number[] = []
  turns.run(() => {
    throw new Error('at fault')
  })
  turns.run(() => ran.push(1))
  await expect.poll(() => ran).toEqual([1])
  for (const listener of listeners) process.on('uncaughtException', listener)
  expect(errors).toEqual([new Error('at fault')])
})
