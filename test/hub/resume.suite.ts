import { afterEach, describe, expect, test } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions } from '../../src/hub/options.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'

interface Past {
  readonly hub?: Partial<HubOptions>
  readonly log?: Partial<LogOptions>
  /** What happens to the topics once they have entries. */
  happens?(hub: Hub, ids: Map<string, string>): Promise<void>
}

const TOPICS = ['q', 'p/1', 'p/2', 'other']

/** What may have happened to the entries after a position, before a reader resumes there. */
const pasts: Record<string, Past> = {
  'inside the window': {},
  'older than the window': { hub: { windowCount: 2 } },
  trimmed: { hub: { windowCount: 2 }, log: { retention: { topicCount: 2 } } },
  'trimmed but still in the window': { log: { retention: { topicCount: 2 } } },
  'deleted, read from the log': { hub: { windowCount: 2 }, happens: deletes },
  'deleted, read from the window': { happens: deletes },
  'of closed topics, read from the log': { hub: { windowCount: 2 }, happens: closes },
  'of closed topics, read from the window': { happens: closes },
  'of closed topics and trimmed': { hub: { windowCount: 2 }, log: { retention: { count: 5 } }, happens: closes },
}

const filters: Record<string, readonly string[]> = {
  'an exact topic': ['q'],
  'exact topics': ['q', 'p/1'],
  'a pattern': ['p/*'],
  'topics and a pattern': ['q', 'p/*', 'p/1'],
}

async function deletes(hub: Hub, ids: Map<string, string>): Promise<void> {
  await hub.directory.erase('q')
  await hub.directory.erase('p/1', ids.get('p/1 1')!)
}

async function closes(hub: Hub): Promise<void> {
  await hub.publish([{ topic: 'q', data: 'end', close: true }])
  await hub.publish([{ topic: 'p/1', close: true }])
}

/** Resumes at every position, whatever happened to the entries after it, over any log. */
export function resumeSuite(name: string, open: (options: Partial<LogOptions>) => Log | Promise<Log>): void {
  describe.each(Object.keys(pasts))(`over ${name}, a position before entries that are %s`, (past) => {
    let hub: Hub | undefined

    afterEach(() => hub?.close())

    test.each(Object.keys(filters))('resumes with exactly the due entries, gap and closes: %s', async (asked) => {
      const { happens, log: logOptions = {}, hub: hubOptions = {} } = pasts[past]!
      const log = await open(logOptions)
      hub = new Hub(() => log, hubOptions)
      await hub.check()
      const ids = new Map<string, string>()
      const say = async (of: Hub, round: number, topics = TOPICS) => {
        for (const topic of topics) {
          const [published] = await of.publish([{ topic, data: `${topic} ${round}` }])
          ids.set(`${topic} ${round}`, published!.id)
        }
      }
      for (let round = 0; round < 4; round++) await say(hub, round)
      await happens?.(hub, ids)
      await say(hub, 4, happens === closes ? ['p/2', 'other'] : TOPICS)

      const filter = Filter.parse(filters[asked]!)
      const head = parsePosition((await hub.directory.get('other')).lastId!)!.seq
      const states = await log.topics({ names: TOPICS })
      for (let seq = 0; seq <= head; seq++) {
        const page = await log.read(seq, { count: 1000, bytes: 1e9 }, filter)
        const reader = new Reader()
        const subscription = await hub.subscribe(filter, { lastEventId: `${log.epoch}-${seq}` })
        const isOver =
          filter.patterns.length === 0 &&
          [...filter.topics].every((topic) => states.some((s) => s.topic === topic && s.closed > 0 && s.closed <= seq))
        expect(subscription === undefined).toBe(isOver)
        if (!subscription) continue
        while (!subscription.idle && !subscription.ended) {
          const bytes = subscription.read()
          if (bytes) reader.feed(bytes)
          else await nextTurn()
        }
        // Entries that are still in memory may be delivered although the log has trimmed them since: then there is no gap.
        const gone = past === 'trimmed but still in the window' ? undefined : page.trimmed
        const gaps = reader.control('gap')
        expect(gaps.map(({ reason, to, exact }) => ({ reason, to, exact }))).toEqual(
          gone ? [{ reason: 'trimmed', to: `${log.epoch}-${gone.to}`, exact: true }] : [],
        )
        expect(reader.control('open')).toMatchObject([{ state: gone ? 'gap' : 'resumed' }])
        const kept = page.entries.filter(({ data }) => data !== undefined)
        const got = reader.events.filter(({ event }) => !event?.startsWith('hub.'))
        if (past !== 'trimmed but still in the window')
          expect(got.map(({ id, data }) => `${id} ${data}`)).toEqual(kept.map((e) => `${log.epoch}-${e.seq} ${e.data}`))
        else {
          const later = [...ids].filter(
            ([said, id]) => parsePosition(id)!.seq > seq && filter.matches(said.split(' ')[0]!),
          )
          expect(got.map(({ id, data }) => [data, id])).toEqual(later)
        }
        const closed = states.filter((s) => s.closed > 0 && filter.topics.has(s.topic)).map(({ topic }) => topic)
        expect(reader.control('closed').map(({ topic }) => topic)).toEqual(expect.arrayContaining(closed))
        subscription.close()
      }
    })
  })
}
