import { expect, onTestFinished, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { AppError, type Code } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Conforms } from './conforms.ts'

/** What /ready answers over a log, checked against what /openapi.json says of it. */
async function readyOver(openLog: () => Log | Promise<Log>, act: (hub: Hub) => void = () => {}) {
  const hub = new Hub(openLog)
  onTestFinished(() => hub.close().catch(() => {}))
  const app = createApp({ hub })
  act(hub)
  const description = new Conforms(await (await app.request('/openapi.json')).json())
  const response = await app.request('/ready')
  await description.check('/ready', 'GET', response)
  expect(description.checked).toBe(1)
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> }
}

function failing(what: 'check' | 'read', code: Code): () => Log {
  const fail = async () => {
    throw new AppError(code, 'Cannot use the log now: its server is away')
  }
  return () => Object.assign(memoryLog(), { [what]: fail })
}

test('a ready hub answers as described, with its warnings', async () => {
  expect(await readyOver(() => memoryLog())).toEqual({
    status: 200,
    answer: { status: 'ready', durability: 'memory', readers: 0 },
  })
  const warned = () => Object.defineProperty(memoryLog(), 'warnings', { value: ['The disk is nearly full'] })
  expect((await readyOver(warned)).answer).toMatchObject({ warnings: ['The disk is nearly full'] })
})

test('a hub that drains answers as described', async () => {
  const { status, answer } = await readyOver(memoryLog, (hub) => hub.drain())
  expect([status, answer.status]).toEqual([503, 'draining'])
})

test.each([
  ['check', 'log_unavailable'],
  ['check', 'log_unusable'],
  ['check', 'outcome_unknown'],
  ['check', 'overloaded'],
  ['read', 'log_unavailable'],
  ['read', 'log_unusable'],
] as const)('a hub whose log fails in %s with %s answers as described', async (what, code) => {
  const { status, answer } = await readyOver(failing(what, code))
  expect([status, answer]).toEqual([503, { status: code, detail: 'Cannot use the log now: its server is away' }])
})

test.each([
  ['log_locked', 'log_locked'],
  ['log_unusable', 'log_unusable'],
  ['log_unavailable', 'log_unavailable'],
  ['config_invalid', 'log_unusable'],
] as const)('a hub that cannot open its log for %s answers as described', async (code, told) => {
  const { status, answer } = await readyOver(() => {
    throw new AppError(code, 'Cannot open the log')
  })
  expect([status, answer]).toEqual([503, { status: told, detail: 'Cannot open the log' }])
})
