import { afterEach, describe, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'
import { cleanUp, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** Every n-th prefix is cut by destroying a socket; the others are taken from the recorded bytes. */
const REAL_CUT_EVERY = runs(20, 1)
/** Cuts after each byte, or after every n-th one, counted from another byte in each run. */
const STEP = runs(3, 1)
const AT_ONCE = 16

interface Opening {
  readonly says: string
  readonly env?: Record<string, string>
  /** Published before the stream opens, in this order. */
  readonly before: readonly Said[]
  /** The seq to resume after; missing for a new stream. */
  readonly asks?: number
  readonly path: string
  /** Published once the stream is open. */
  readonly after?: readonly Said[]
  /** The topic of the last entry, which shows that a resumed stream is complete. The last entry must trim none of the owed entries. */
  readonly ends: string
  /** The data that the reader must receive. */
  readonly owed: readonly string[]
  readonly gap?: { readonly reason: string; readonly to: number }
}

type Said = readonly [topic: string, data: string]

const lines = 'two\nlines, größer als ☂ and 👍'
const five: readonly Said[] = [
  ['a', '1'],
  ['b', 'not for us'],
  ['a', lines],
  ['a', ''],
  ['c/d', '5'],
]

const openings: readonly Opening[] = [
  { says: 'resumed', before: five, asks: 1, path: '/event?topic=a&topic=c/*', ends: 'a', owed: [lines, '', '5'] },
  {
    says: 'resumed from the log, below the window',
    env: { WINDOW_COUNT: '1' },
    before: five,
    asks: 1,
    path: '/event?topic=a&topic=c/*',
    ends: 'c/d',
    owed: [lines, '', '5'],
  },
  {
    says: 'resumed after a gap',
    env: { TOPIC_RETENTION_COUNT: '2', WINDOW_COUNT: '1' },
    before: [...five, ['a', '6'], ['b', 'nor this'], ['a', '8']],
    asks: 1,
    path: '/event?topic=a&topic=c/*',
    ends: 'c/d',
    owed: ['5', '6', '8'],
    gap: { reason: 'trimmed', to: 4 },
  },
  {
    says: 'resumed with a position of another log',
    before: five,
    asks: -1,
    path: '/event?topic=a',
    ends: 'a',
    owed: ['1', lines, ''],
    gap: { reason: 'epoch', to: 0 },
  },
  {
    says: 'live',
    before: five,
    path: '/event?topic=a',
    ends: 'a',
    after: [
      ['a', '6'],
      ['b', 'no'],
      ['a', lines],
    ],
    owed: ['6', lines],
  },
  {
    says: 'the demo, live',
    before: [
      ['$store', '1'],
      ['$store', '2'],
    ],
    path: '/event',
    ends: '$store',
    after: [
      ['a', 'no'],
      ['$store', lines],
    ],
    owed: ['2', lines],
  },
  {
    says: 'the demo, resumed',
    before: [
      ['$store', '1'],
      ['a', 'no'],
      ['$store', lines],
      ['$store', '4'],
    ],
    asks: 1,
    path: '/event',
    ends: '$store',
    owed: [lines, '4'],
  },
]

afterEach(cleanUp)

describe('a stream that is cut after any byte and resumed delivers everything due once and in order:', () => {
  test.each(openings)('$says', async ({ env = {}, before, asks, path, after = [], ends, owed, gap }) => {
    const server = await start(env)
    let epoch = ''
    for (const [topic, data] of before) epoch = (await say(server, topic, data)).split('-')[0]!
    const asked = asks === undefined ? undefined : asks < 0 ? 'gone-7' : `${epoch}-${asks}`

    const whole = new Stream(server.port, path, { lastEventId: asked })
    await whole.until(() => whole.reader.events.length > 0)
    for (const [topic, data] of after) await say(server, topic, data)
    await whole.until(() => dataOf(whole.reader).length === owed.length)
    expect(dataOf(whole.reader)).toEqual(owed)
    whole.socket.destroy()
    const opening = Buffer.from(whole.reader.text)
    await say(server, ends, 'end') // doubled or late entries come before this one

    const untold: number[] = []
    const tryCut = async (length: number) => {
      const isReal = after.length === 0 && length % REAL_CUT_EVERY < STEP
      const first = isReal ? await cutReally(server, path, asked, length) : fed(opening.subarray(0, length))
      const resumeAt = first.lastEventId ?? asked
      const second = new Stream(server.port, path, { lastEventId: resumeAt })
      if (resumeAt === undefined) {
        // No event was dispatched, so nothing is due: the stream begins once more.
        await second.until(() => second.reader.events.length > 0)
        expect(first.events).toEqual([])
        expect(second.reader.control('open').map(({ state }) => state)).toEqual(path === '/event' ? [] : ['live'])
        expect(dataOf(second.reader)).toEqual(path === '/event' ? ['end'] : [])
      } else {
        await second.until(() => dataOf(second.reader).includes('end'))
        expect([...dataOf(first), ...dataOf(second.reader)], `cut after ${length} bytes`).toEqual([...owed, 'end'])
        const gaps = [...first.control('gap'), ...second.reader.control('gap')]
        const states = [...first.control('open'), ...second.reader.control('open')].map(({ state }) => state)
        // A reader cut between hub.open and hub.gap resumes behind the gap, because hub.open has an id there; its `state` told of the gap.
        if (!gap) expect(gaps).toEqual([])
        else if (gaps.length === 0) untold.push(length)
        else
          expect(gaps, `cut after ${length} bytes`).toMatchObject([
            { reason: gap.reason, from: asked, to: `${epoch}-${gap.to}` },
          ])
        if (gap) expect(states, 'reported one way or the other').toContain('gap')
      }
      second.socket.destroy()
    }
    let next = seed % STEP
    const cutter = async () => {
      for (let at = next; at <= opening.byteLength; at = next) {
        next += STEP
        await tryCut(at)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, cutter))
    console.log(
      `cut after every ${STEP} of ${opening.byteLength + 1} bytes: ${owed.length} owed, 0 missing, 0 doubled${gap ? `, ${untold.length} times the gap was reported by hub.open only` : ''}`,
    )
  })
})

/** A reader that was given these bytes, as a browser would be. */
function fed(bytes: Uint8Array): Reader {
  const reader = new Reader()
  reader.feed(bytes)
  return reader
}

/** A reader of a real stream that is cut off after this many bytes. */
async function cutReally(
  { port }: Server,
  path: string,
  lastEventId: string | undefined,
  length: number,
): Promise<Reader> {
  const reader = new Reader()
  let left = length
  const stream = new Stream(port, path, {
    lastEventId,
    take: (bytes) => {
      reader.feed(bytes.subarray(0, left))
      left -= Math.min(left, bytes.byteLength)
    },
  })
  await stream.until(() => stream.status > 0 && left === 0)
  stream.socket.destroy()
  return reader
}

async function say({ url }: Server, topic: string, data: string): Promise<string> {
  const answer = await fetch(topic === '$store' ? `${url}/send` : `${url}/send?topic=${topic}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(topic === '$store' ? { message: data } : { data }),
  })
  const { id } = (await answer.json()) as { id: string }
  expect(answer.status).toBe(200)
  return id
}

/** The data of entries, without control frames and repeats. */
function dataOf(reader: Reader): string[] {
  return reader.events
    .filter(({ event, id }) => id !== undefined && !event?.startsWith('hub.'))
    .map(({ event, data }) => (event === 'message' ? JSON.parse(data).message : data))
}
