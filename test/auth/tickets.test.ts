import { expect, onTestFinished, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { AppError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { SECRET } from './suite.ts'

test('a ticket is not refused while the log that has its secret cannot be read', async () => {
  let isAway = true
  const hub = new Hub(() => {
    if (isAway) throw new AppError('log_unavailable', 'Cannot read the log')
    return memoryLog()
  })
  onTestFinished(() => hub.close())
  const app = createApp({ hub, config: parseConfig({ AUTH_SECRET: SECRET }) })
  const ask = async () => {
    const answer = await app.request('/event?topic=room&ticket=a.b.c')
    return [answer.status, ((await answer.json()) as { code: string }).code]
  }
  expect(await ask()).toEqual([503, 'log_unavailable'])
  isAway = false
  expect(await ask()).toEqual([401, 'ticket_invalid'])
})
