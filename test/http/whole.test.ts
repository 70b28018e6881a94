import { expect, onTestFinished, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions } from '../../src/hub/options.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { nearRuns, runs } from '../../src/runs/near.ts'

// Streams with control=false over the portable carrier of `app.request()`; other runtimes are in `test/clients/whole.test.ts`.

function open(options: Partial<HubOptions> = {}) {
  const hub = new Hub(memoryLog, options)
  onTestFinished(() => hub.close())
  const app = createApp({ hub })
  const ask = (query: string) =>
    app.request(`http://localhost/event?topic=a&${query}`, { headers: { accept: 'text/event-stream' } })
  return { hub, ask }
}

test.each<[string, number, string, Partial<HubOptions>, (hub: Hub) => void]>([
  ['a hub whose memory is short', 503, 'overloaded', { isShort: () => true }, () => {}],
  ['a hub that shuts down', 503, 'draining', {}, (hub) => hub.drain()],
  ['a hub full of readers', 429, 'too_many_readers', { maxReaders: 0 }, () => {}],
])(
  '%s refuses a stream without control events with %i and Retry-After, where it answers others with 200',
  async (...given) => {
    const [, status, code, options, prepare] = given
    const { hub, ask } = open(options)
    prepare(hub)
    const refused = await ask('control=false')
    expect([refused.status, await refused.json()]).toEqual([status, expect.objectContaining({ status, code })])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    const other = await ask('control=true')
    expect([other.status, await other.text()]).toEqual([200, expect.stringMatching(/retry: \d+\n/)])
  },
)

test('the body of a stream without control events fails at every end but that of the whole, also after a run that failed, was stopped or was abandoned; the bodies of others close', async () => {
  for (const control of [false, true]) {
    const { hub, ask } = open()
    await hub.publish([{ topic: 'a', data: 'part' }])
    const answer = await ask(`control=${control}&from=earliest`)
    const body = answer.body!.getReader()
    let text = ''
    while (!text.includes('data: part')) text += new TextDecoder().decode((await body.read()).value)
    hub.drain()
    const rest = async () => {
      while (!(await body.read()).done);
    }
    if (control) await rest()
    else await expect(rest()).rejects.toThrow('Broken off')
  }
  for (const outcome of ['done', 'failed', 'stopped', 'abandoned'] as const)
    for (const isLate of [false, true]) {
      const { hub, ask } = open()
      await hub.publish([{ topic: 'a', data: 'part' }])
      const early = isLate ? undefined : await ask('control=false&from=earliest')
      if (outcome === 'abandoned') await nearRuns(hub).take('a', { leaseMs: 100, graceMs: 0 })
      else await (await runs(hub).claim('a')).end({ outcome })
      await expect.poll(async () => (await runs(hub).state('a'))?.outcome).toBe(outcome)
      const text = (early ?? (await ask('control=false&from=earliest'))).text()
      if (outcome === 'done') expect(await text).toContain('data: part')
      else await expect(text).rejects.toThrow('Broken off')
    }
  const { hub, ask } = open()
  await hub.publish([{ topic: 'a', data: 'whole', close: true }])
  expect(await (await ask('control=false&from=earliest')).text()).toContain('data: whole')
})
