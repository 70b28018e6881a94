import { expect, onTestFinished, test, vi } from 'vitest'
import { nextTurn, TURN_MS, Turns } from '../src/turn.ts'

/** A clock that goes on only when a task takes time, so that the speed of the machine does not matter. */
function setClock() {
  let now = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
  onTestFinished(() => clock.mockRestore())
  return (ms: number) => {
    now += ms
  }
}

/** Runs tasks that take this long each, while other work takes its time in each turn, and returns the tasks of each turn. */
async function tasksOfTurns(count: number, taskMs: number, otherMs: number): Promise<number[][]> {
  const pass = setClock()
  const turns = new Turns()
  let left = count
  let now: number[] = []
  for (let task = 0; task < count; task++)
    turns.run(() => {
      now.push(task)
      left--
      pass(taskMs)
    })
  expect(left).toBe(count)
  const found: number[][] = []
  while (left > 0) {
    pass(otherMs)
    await nextTurn()
    if (now.length > 0) found.push(now)
    now = []
  }
  return found
}

test('tasks run in later turns and in order, and a long task has a turn for itself', async () => {
  expect(await tasksOfTurns(4, 2 * TURN_MS, 0)).toEqual([[0], [1], [2], [3]])
})

test('short tasks share a turn for a millisecond', async () => {
  expect(await tasksOfTurns(10, TURN_MS / 4, 0)).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9],
  ])
})

test('tasks take as long as other work has taken since the last ones, so that they get half of a busy process', async () => {
  expect(await tasksOfTurns(6, 2 * TURN_MS, 6 * TURN_MS)).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ])
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
