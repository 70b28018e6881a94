import { expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../src/app.ts'
import { Hub } from '../src/hub/hub.ts'
import { memoryLog } from '../src/log/memory.ts'
import { errorLine } from '../src/requests.ts'

test('an internal error is logged as a line of JSON, with its causes and with [token] in place of a JSON Web Token', async () => {
  const log = memoryLog()
  const cause = new Error('the disk said\u001b[2J\u2028 eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2VjcmV0')
  log.append = async () => {
    throw new Error('cannot write', { cause })
  }
  const told = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => told.mockRestore())
  const hub = new Hub(() => log)
  const response = await createApp({ hub }).request('/send?message=x')
  expect([response.status, await response.json()]).toEqual([500, expect.objectContaining({ code: 'internal' })])
  expect(told).toHaveBeenCalledOnce()
  const [line] = told.mock.calls[0] as [string]
  expect(line).toMatch(/^[^\p{Cc}\u2028\u2029]+$/u)
  const { level, error, causes } = JSON.parse(line)
  expect([level, error, causes]).toEqual([
    'error',
    expect.stringMatching(/^Error: cannot write\n\s+at /),
    [expect.stringMatching(/^Error: the disk said\u001b\[2J\u2028 \[token\]\n\s+at /)],
  ])
  await hub.close()
})

test('the cause of an AggregateError is its first error, and a circular cause is logged at most four times', () => {
  const refused = new AggregateError([new Error('refused by ::1'), new Error('refused by 127.0.0.1')])
  expect(JSON.parse(errorLine(refused)).causes).toEqual([expect.stringMatching(/^Error: refused by ::1\n/)])
  const endless = new Error('again')
  endless.cause = endless
  expect(JSON.parse(errorLine(endless)).causes).toHaveLength(4)
  expect(JSON.parse(errorLine('a text'))).toEqual({ level: 'error', error: 'a text', causes: [] })
})
