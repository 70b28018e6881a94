import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import type { Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { type Connection, envOf } from '../../src/routes/connection.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'

const TOPICS = ['a', 'b', 'c/x', 'c/y']
const NAMES = [...TOPICS, 'c/*', '**']
/** More than the 32 Ki characters after which an answer ends. */
const MAX_CHARS = 40_000
const MOST_POLLS = 200

type Step =
  | { do: 'publish'; topic: number; chars: number; close: boolean }
  | { do: 'close'; topic: number }
  | { do: 'erase'; entry: number }
  | { do: 'forget'; topic: number }
  | { do: 'pass time' }

const chars = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 100 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: MAX_CHARS }) },
)
const topic = fc.nat(TOPICS.length - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({ do: fc.constant('publish' as const), topic, chars, close: fc.constant(false) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('publish' as const), topic, chars, close: fc.constant(true) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), topic }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('erase' as const), entry: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), topic }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass time' as const) }) },
)

/** What a reader asks for; `place` and `time` pick a position or a time of the past, in thousandths of the whole past. */
const question = fc.record({
  names: fc.subarray(NAMES, { minLength: 1 }),
  latest: fc.constantFrom('', '&latest=true', '&latest=true&gaps=true'),
  beginning: fc.oneof(
    fc.constantFrom('', '&from=earliest'),
    fc.record({ last: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ time: fc.nat(1000) }),
  ),
  position: fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    { weight: 3, arbitrary: fc.record({ place: fc.nat(1000) }) },
    { weight: 1, arbitrary: fc.constantFrom('zzzzzzzzzz-0', 'zzzzzzzzzz-7', 'what?', 'ahead') },
  ),
})

type Question = typeof question extends fc.Arbitrary<infer Asked> ? Asked : never
type Bounds = { windowCount: number; maxChunkBytes: number }

/** What one answer of a poll reports, or what a stream has reported up to `position`. */
interface Told {
  readonly events: { readonly id?: string; readonly topic: string; readonly data: string }[]
  readonly gaps: { readonly reason: string; readonly from: string | null; readonly to: string }[]
  readonly closed: string[]
  readonly position: string
}

/** If the stream has ended, `position` is its last id; a poll may as well end at any later position. */
interface Streamed extends Told {
  readonly ended: boolean
}

test('a poll is refused, and tells the position that it has reached if it has read something, when the log stops answering', async () => {
  const log = memoryLog()
  let pages = Number.POSITIVE_INFINITY
  const hub = new Hub(
    () => ({
      ...log,
      // A page of a search that has looked at five entries and found none.
      read: () => (pages-- > 0 ? Promise.resolve({ entries: [], scannedTo: 5 }) : new Promise(() => {})),
    }),
    { windowCount: 1 },
  )
  onTestFinished(() => hub.close())
  const app = createApp({ hub })
  for (let i = 0; i < 5; i++) await hub.publish({ topic: 'other', data: `${i}` })
  await hub.publish([
    { topic: 'a', data: 'x' },
    { topic: 'a', data: 'y' },
  ])
  const poll = async (hanging: number, query: string) => {
    pages = hanging
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const answer = app.request(`/event?topic=a${query}`, { headers: { accept: 'application/json' } })
    for (let turn = 0; turn < 200; turn++) await nextTurn()
    await vi.advanceTimersByTimeAsync(60_000)
    const { status, headers } = await answer
    return [status, headers.get('retry-after'), await (await answer).json()]
  }
  expect(await poll(0, '&from=earliest')).toMatchObject([503, '1', { code: 'log_unavailable' }])
  const [status, , reached] = await poll(1, '&from=earliest')
  expect([status, reached]).toEqual([200, { events: [], position: expect.stringMatching(/-5$/) }])
})

test('consecutive polls report exactly what one stream reports and end at its position, also when reads fail', async () => {
  let answers = 0
  let gaps = 0
  let compared = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.array(question, { minLength: 1, maxLength: 4 }),
      fc.record({ count: fc.integer({ min: 4, max: 40 }), topicCount: fc.integer({ min: 1, max: 12 }) }),
      fc.record({
        windowCount: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constant(1000)),
        maxChunkBytes: fc.oneof(fc.integer({ min: 60, max: 400 }), fc.integer({ min: 60, max: 2 * MAX_CHARS })),
      }),
      fc.array(fc.boolean(), { maxLength: 30 }),
      async (steps, questions, retention, hubOptions, faults) => {
        const log = memoryLog({ retention })
        const fail = failing(log)
        const hub = new Hub(() => log, hubOptions)
        await hub.check()
        const past = await live(hub, steps)
        const { entries } = await log.read(0, { count: 1000, bytes: 1e9 }, Filter.parse(['**']))
        const kept = entries.map(({ seq }) => `${log.epoch}-${seq}`)
        // Polls that begin where memory still has trimmed entries deliver these, and then report no gap for them.
        const isTrimmedInMemory = past.ids.slice(-hubOptions.windowCount).some((id) => !kept.includes(id))
        const app = createApp({ hub })
        for (const asked of questions) {
          const { query, position } = asQuery(asked, past, log.epoch)
          const whole = await stream(app, query.first, position)
          const polls: Told[] = []
          for (let at = position, q = query.first; ; q = query.next) {
            const polled = await fail(faults, () => poll(app, q, at))
            expectPart(polled, await stream(app, q, at))
            polls.push(polled)
            at = polled.position
            if (isEmpty(polled, polls.slice(0, -1))) break
            expect(polls.length).toBeLessThan(MOST_POLLS)
          }
          const all = joined(polls)
          if (isTrimmedInMemory) {
            const known = [...kept, ...whole.events.map(({ id }) => id)]
            const events = all.events.filter(({ id }) => known.includes(id!))
            expectAll({ ...all, events, gaps: [] }, { ...whole, gaps: [] })
          } else {
            expectAll(all, whole)
            compared++
          }
          answers += polls.length - 1
          gaps += whole.gaps.length
        }
        expect(hub.readers).toBe(0)
        await hub.close()
      },
    ),
    { seed, numRuns: runs(150, 20_000), examples: [passedOverAfterAnswer, passedOverLater] },
  )
  console.log(
    `${answers} polls; the streams reported ${gaps} gaps; ${compared} sequences of polls were compared in every respect`,
  )
}, 600_000)

/** Makes reads of a log fail during an act: `faults` says for the first reads, one by one, whether they fail; later reads work. */
function failing(log: Log) {
  let left: boolean[] = []
  const failed = async () => {
    if (left.shift()) throw new Error('disk on fire')
  }
  const { read, seek, topics } = log
  log.read = (...asked) => failed().then(() => read(...asked))
  log.seek = (...asked) => failed().then(() => seek(...asked))
  log.topics = (...asked) => failed().then(() => topics(...asked))
  return async <T>(faults: boolean[], act: () => Promise<T>): Promise<T> => {
    left = faults
    try {
      return await act()
    } finally {
      left = []
    }
  }
}

/** An answer ends where the log has just skipped an event for a newer one: the next answer must not report that gap again. */
const passedOverAfterAnswer: [Step[], Question[], { count: number; topicCount: number }, Bounds, boolean[]] = [
  [
    { do: 'publish', topic: 0, chars: 32_500, close: true },
    { do: 'publish', topic: 2, chars: 1, close: false },
    { do: 'publish', topic: 2, chars: 1, close: false },
  ],
  [{ names: ['a', 'c/x'], latest: '&latest=true&gaps=true', beginning: { last: 3 }, position: '' }],
  { count: 4, topicCount: 2 },
  { windowCount: 1, maxChunkBytes: 60 },
  [],
]

/** The second answer begins before an entry that is delivered, and reports behind it what the first one has reported with more. */
const passedOverLater: typeof passedOverAfterAnswer = [
  [
    { do: 'publish', topic: 0, chars: 32_435, close: false },
    { do: 'publish', topic: 1, chars: 1, close: false },
    { do: 'publish', topic: 2, chars: 1, close: false },
    { do: 'publish', topic: 2, chars: 1, close: false },
  ],
  [{ names: ['**'], latest: '&latest=true&gaps=true', beginning: { last: 4 }, position: '' }],
  { count: 4, topicCount: 2 },
  { windowCount: 3, maxChunkBytes: 60 },
  [],
]

interface Past {
  /** The id of every published event, erased or not. */
  readonly ids: string[]
  readonly times: number[]
}

async function live(hub: Hub, steps: readonly Step[]): Promise<Past> {
  const past: Past = { ids: [], times: [Date.now()] }
  const kept: { topic: string; id: string }[] = []
  const closed = new Set<string>()
  const publish = async (topic: string, data: string | undefined, close: boolean) => {
    if (closed.has(topic)) return
    if (close) closed.add(topic)
    const [{ id } = { id: '' }] = await hub.publish([
      { topic, ...(data !== undefined && { data }), ...(close && { close }) },
    ])
    past.ids.push(id)
    kept.push({ topic, id })
  }
  for (const now of steps) {
    if (now.do === 'publish')
      await publish(TOPICS[now.topic]!, `${past.ids.length} ${'x'.repeat(now.chars)}`, now.close)
    else if (now.do === 'close') await publish(TOPICS[now.topic]!, undefined, true)
    else if (now.do === 'erase') {
      const { topic, id } = kept.at(-1 - now.entry) ?? { topic: 'a', id: 'none-1' }
      await hub.directory.erase(topic, id).catch(() => {}) // the event is gone already
    } else if (now.do === 'forget') {
      closed.delete(TOPICS[now.topic]!)
      await hub.directory.erase(TOPICS[now.topic]!).catch(() => {}) // the topic has no entries
    } else {
      for (const before = Date.now(); Date.now() === before; ) await nextTurn()
      past.times.push(Date.now())
    }
  }
  return past
}

function asQuery({ names, latest, beginning, position }: Question, { ids, times }: Past, epoch: string) {
  const next = `${names.map((name) => `topic=${name}`).join('&')}${latest}`
  const at = <T>(of: readonly T[], part: number) => of[Math.min(of.length - 1, Math.floor((part / 1000) * of.length))]
  const begins =
    typeof beginning === 'string'
      ? beginning
      : 'last' in beginning
        ? `&last=${beginning.last}`
        : `&since=${new Date(at(times, beginning.time)!).toISOString()}`
  const places = [`${epoch}-0`, ...ids]
  const from = typeof position === 'object' ? at(places, position.place)! : position
  return { query: { first: next + begins, next }, position: from === 'ahead' ? `${epoch}-${ids.length + 3}` : from }
}

type App = ReturnType<typeof createApp>

async function poll(app: App, query: string, lastEventId: string): Promise<Told> {
  const headers = { accept: 'application/json', 'last-event-id': lastEventId }
  let response = await app.request(`/event?${query}`, { headers })
  for (; response.status === 503; response = await app.request(`/event?${query}`, { headers }))
    expect(await response.json()).toMatchObject({ code: 'log_unusable' })
  expect(response.status).toBe(200)
  const { gap, ended, ...told } = (await response.json()) as Told & { gap?: unknown; ended?: { topic: string }[] }
  expect(gap).toEqual(told.gaps?.[0])
  if (ended) expect(ended).toEqual(told.closed.map((topic) => ({ topic, outcome: 'done' })))
  return { ...told, gaps: told.gaps ?? [], closed: told.closed ?? [] }
}

/** Reads a stream as a carrier does, until nothing more is due. */
async function stream(app: App, query: string, lastEventId: string): Promise<Streamed> {
  let carried: Subscription | undefined
  const takeOver: Connection['takeOver'] = (subscription) => {
    carried = subscription
    return () => {}
  }
  const headers = { accept: 'text/event-stream', 'last-event-id': lastEventId }
  const response = await app.request(`/event?${query}&envelope=true`, { headers }, envOf({ takeOver }))
  if (response.status === 204)
    return { events: [], gaps: [], closed: topicsOf(query), position: lastEventId, ended: true }
  expect(response.status).toBe(200)
  const reader = new Reader()
  while (!carried!.idle && !carried!.ended) {
    const bytes = carried!.read()
    if (bytes) reader.feed(bytes)
    else if (!carried!.idle && !carried!.ended) await nextTurn()
  }
  const { ended, positionId } = carried!
  carried!.close()
  return {
    events: reader.events
      .filter(({ event }) => !event?.startsWith('hub.'))
      .map(({ id, data }) => ({ ...(id !== undefined && { id }), ...JSON.parse(data) })),
    gaps: reader.control('gap') as unknown as Told['gaps'],
    closed: reader.control('closed').map(({ topic }) => topic as string),
    position: ended ? reader.lastEventId! : positionId,
    ended,
  }
}

function topicsOf(query: string): string[] {
  return new URLSearchParams(query).getAll('topic')
}

/** Expects an answer to report the first part of what a stream from the same position reports, or all of it if both end there. */
function expectPart(part: Told, whole: Streamed): void {
  if (part.position === whole.position || isAfter(part.position, whole.position)) {
    expectAll(part, whole)
    return
  }
  expect(part).toEqual({
    events: whole.events.slice(0, part.events.length),
    gaps: whole.gaps.slice(0, part.gaps.length),
    closed: whole.closed.slice(0, part.closed.length),
    position: part.position,
  })
}

function expectAll(told: Told, { ended, ...whole }: Streamed): void {
  const position = ended && isAfter(told.position, whole.position) ? told.position : whole.position
  expect(told).toEqual({ ...whole, position })
}

function isEmpty({ events, gaps, closed }: Told, before: readonly Told[]): boolean {
  const known = before.flatMap((one) => one.closed)
  return events.length === 0 && gaps.length === 0 && closed.every((topic) => known.includes(topic)) && before.length > 0
}

/**
 * Joins the answers of consecutive polls. Each answer begins like a resumed stream: the answer reports again which topics were closed
 * before its position, and the rest of a range, trimmed or skipped, that reaches beyond the answer before. What was skipped may lie
 * behind entries that this answer delivers.
 */
function joined(polls: readonly Told[]): Told {
  const isAgain = ({ reason, from, to }: Told['gaps'][number], i: number) => {
    if (i === 0) return false
    const before = polls.slice(0, i).flatMap(({ gaps }) => gaps)
    const known = before.filter((gap) => gap.reason === reason && !isAfter(to, gap.to))
    if (from === polls[i - 1]!.position) return reason === 'trimmed' || known.length > 0
    return reason === 'conflated' && known.some((gap) => !isAfter(gap.from ?? '', from ?? ''))
  }
  return {
    events: polls.flatMap(({ events }) => events),
    gaps: polls.flatMap(({ gaps }, i) => gaps.filter((gap) => !isAgain(gap, i))),
    closed: [...new Set(polls.flatMap(({ closed }) => closed))],
    position: polls.at(-1)!.position,
  }
}

function isAfter(position: string, other: string): boolean {
  const seqs = [position, other].map((text) => parsePosition(text)?.seq ?? 0)
  return seqs[0]! > seqs[1]!
}
