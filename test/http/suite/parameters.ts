import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Names that clients and polyfills add so that no cache answers. */
export const CACHE_BREAKERS = [
  '_',
  't',
  'ts',
  'r',
  'cb',
  'v',
  'rand',
  'random',
  'nocache',
  'no-cache',
  'cache_buster',
  'timestamp',
]

/** Tests the names of the parameters of `/event`. */
export function parameters({ group, fetch, post, expectProblem, it }: Client): void {
  group('the parameters of /event', () => {
    const status = async (query: string) => (await fetch(`/event?${query}`, { method: 'HEAD' })).status
    const misspelt = [
      ['lastEventID', 'lastEventId'],
      ['Last-Event-ID', 'lastEventId'],
      ['LAST_EVENT_ID', 'lastEventId'],
      ['lastEvent', 'lastEventId'],
      ['topics', 'topic'],
      ['Topic', 'topic'],
      ['topc', 'topic'],
      ['tpoic', 'topic'],
      ['tickt', 'ticket'],
      ['form', 'from'],
      ['lats', 'last'],
      ['Since', 'since'],
      ['latset', 'latest'],
      ['envelop', 'envelope'],
      ['enveloppe', 'envelope'],
      ['controls', 'control'],
      ['gap', 'gaps'],
      ['repeats', 'repeat'],
      ['wiat', 'wait'],
    ] as const
    it('that are misspelt are refused with the right name, on the demo stream and beside a topic, in a query and in a form', async () => {
      for (const [name, meant] of misspelt) {
        const asks = [
          fetch(`/event?${name}=1`),
          fetch(`/event?topic=a&${name}=1`),
          post('/event', new URLSearchParams({ [name]: '1' })),
          post('/event?topic=a', new URLSearchParams({ [name]: '1' })),
        ]
        for (const response of await Promise.all(asks)) {
          const { detail } = await expectProblem(response, 400, 'parameter_unknown')
          expect(detail).toBe(`Cannot use "${name}" as a parameter: expected ${meant}`)
        }
      }
    })

    it('that only make a URL unique are accepted everywhere', async () => {
      for (const name of [...CACHE_BREAKERS, `${Date.now()}`]) {
        expect([name, await status(`${name}=${Date.now()}`)]).toEqual([name, 200])
        expect([name, await status(`topic=a&${name}=0.${Date.now()}`)]).toEqual([name, 200])
      }
    })

    it('that are unknown and resemble none of ours are refused beside a topic, and accepted on the demo stream', async () => {
      for (const name of ['id', 'filter', 'test', 'token', 'eventId', 'data', '__proto__', 'constructor']) {
        expect([name, await status(`${name}=1`)]).toEqual([name, 200])
        const { detail } = await expectProblem(await fetch(`/event?topic=a&${name}=1`), 400, 'parameter_unknown')
        expect(detail).toContain('expected topic, ticket, lastEventId,')
      }
    })

    it('have at most 100 different names', async () => {
      const query = (count: number) => Array.from({ length: count }, (_, i) => `${i}=x`).join('&')
      expect(await status(query(100))).toBe(200)
      await expectProblem(await fetch(`/event?${query(101)}`), 413, 'too_many_fields')
    })
  })
}
