import { expect, onTestFinished, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { AppError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'

const TWO = 'data: 1\n\ndata: 2\n\n'

/** The answer to a body that is a run, on a hub whose log is changed by `change`. */
async function sent(change: (log: Log) => void, body: string | ReadableStream = TWO): Promise<Record<string, unknown>> {
  const log = memoryLog()
  change(log)
  const hub = new Hub(() => log)
  onTestFinished(() => hub.close())
  const init = { method: 'POST', body, headers: { 'content-type': 'text/event-stream' }, duplex: 'half' }
  const response = await createApp({ hub }).request('/send?topic=a&run=15s', init)
  return (await response.json()) as Record<string, unknown>
}

const failure = new AppError('log_unavailable', 'Cannot reach the log now')

test('a body that is a run tells how much was taken, also when its last renewal fails', async () => {
  const answer = await sent(({ runs }) => {
    runs.renew = async () => {
      throw failure
    }
  })
  expect(answer).toMatchObject({ code: 'log_unavailable', taken: 2, lastId: expect.any(String) })
})

test('a body that is a run tells how much was taken, also when it is stopped and its run cannot be ended', async () => {
  const endless = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(TWO)) })
  const answer = await sent((log) => {
    const append = log.append.bind(log)
    log.append = async (messages) => {
      if (messages.some(({ close }) => close)) throw failure
      return append(messages).finally(() => log.runs.stop('a'))
    }
  }, endless)
  expect(answer).toMatchObject({ code: 'log_unavailable', taken: 2, lastId: expect.any(String) })
})

test('a body that has ended without ending its run is told in its answer that somebody has asked for a stop', async () => {
  const answer = await sent((log) => {
    log.runs.watch = () => {} // the news of the stop is late
    const append = log.append.bind(log)
    log.append = async (messages) => append(messages).finally(() => log.runs.stop('a'))
  })
  expect(answer).toMatchObject({ taken: 2, leaseEnd: expect.any(String), stop: true })
})
