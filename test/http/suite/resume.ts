import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests resuming after a position. */
export function resume({ group, freshTopic, publish, stream, it, everywhere }: Client): void {
  group('topics', () => {
    everywhere('resume after a Last-Event-ID in the header or the query; the header wins', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', '2', '3', '4')
      const header = await stream(`/event?topic=${topic}`, { 'last-event-id': ids[1]! })
      const query = await stream(`/event?topic=${topic}&lastEventId=${ids[2]}`)
      const other = await stream(`/event?topic=${topic}&last_event_id=${ids[2]}`)
      const both = await stream(`/event?topic=${topic}&lastEventId=${ids[0]}`, { 'last-event-id': ids[2]! })
      await header.reader.gets('3', '4')
      for (const { reader } of [query, other, both]) await reader.gets('4')
      expect(header.reader.events[0]).toMatchObject({ event: 'hub.open', id: ids[1] })
      expect(header.reader.control('open')).toMatchObject([{ state: 'resumed' }])
    })

    everywhere('resume at the last position several times, each event once', async () => {
      const topic = freshTopic()
      const got: string[] = []
      let position: string | undefined
      for (let i = 0; i < 5; i++) {
        await publish(topic, `${i}a`, `${i}b`)
        const { reader, close } = await stream(
          `/event?topic=${topic}`,
          position ? { 'last-event-id': position } : { 'last-event-id': 'x-0' },
        )
        await expect.poll(() => reader.data.length).toBe(2)
        close()
        got.push(...reader.data)
        position = reader.lastEventId
      }
      expect(got).toEqual(['0a', '0b', '1a', '1b', '2a', '2b', '3a', '3b', '4a', '4b'])
    })

    const strangers: [string, (epoch: string) => string, string][] = [
      ['garbage', () => 'what?', 'unknown'],
      ['an SQL injection', () => "' OR 1=1 --", 'unknown'],
      ['a very long text', () => 'x'.repeat(4000), 'unknown'],
      ['a position of another epoch', () => 'zzzzzzzzzz-3', 'epoch'],
      ['a position ahead of the log', (epoch) => `${epoch}-9007199254740991`, 'ahead'],
      ['a position with a seq of 2^64', (epoch) => `${epoch}-18446744073709551616`, 'unknown'],
      ['a position with a negative seq', (epoch) => `${epoch}--1`, 'unknown'],
    ]
    for (const [what, position, reason] of strangers)
      everywhere(`answer ${what} as Last-Event-ID with hub.gap (${reason})`, async () => {
        const topic = freshTopic()
        const [id] = await publish(topic, 'before')
        for (const headers of [true, false]) {
          const asked = position(id!.split('-')[0]!)
          const query = headers ? '' : `&lastEventId=${encodeURIComponent(asked)}`
          const { reader } = await stream(`/event?topic=${topic}${query}`, headers ? { 'last-event-id': asked } : {})
          await expect.poll(() => reader.events.length).toBeGreaterThanOrEqual(2)
          expect(reader.control('open')).toMatchObject([{ state: 'gap' }])
          expect(reader.control('gap')).toMatchObject([{ reason, from: reason === 'unknown' ? null : asked }])
          expect(reader.events[1]!.event).toBe('hub.gap')
        }
        const plain = await stream('/event', { 'last-event-id': position(id!.split('-')[0]!) })
        await expect.poll(() => plain.reader.control('gap')).toMatchObject([{ reason }])
      })

    it('treat an empty Last-Event-ID as missing', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}&lastEventId=`, { 'last-event-id': '' })
      await expect.poll(() => reader.control('open')).toMatchObject([{ state: 'live' }])
    })
  })
}
