import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { sqlLog } from '../../src/log/sql.ts'
import { Filter } from '../../src/topic.ts'
import { type Cost, costOf, countedSql, planOf } from '../bench/counted.ts'
import { runs } from '../seed.ts'

const SHORT = 2000
const LONG = runs(20_000, 1_000_000)
const BATCH = 1000
/** Events of the quiet topic, at equal distances: what a returning reader has missed. */
const QUIET = 10
/** Rows that a read may fetch besides entries, such as what was trimmed of its topics. */
const ASIDE = 10
/** Rows that one read with a pattern looks at, at most. */
const SCANNED = 500

/** The limit of one read by a subscription. */
const limit = { count: 128, bytes: 64 * 1024 }
const quiet = Filter.parse(['quiet'])
const three = Filter.parse(['quiet', 'busy/1', 'busy/2'])

interface Filled {
  readonly size: number
  readonly log: Log
  readonly database: DatabaseSync
  cost(run: () => Promise<unknown>): Promise<Cost>
}

let short: Filled
let long: Filled

beforeAll(async () => {
  short = await filled(SHORT)
  long = await filled(LONG)
}, 300_000)

afterAll(() => Promise.all([short.log.close(), long.log.close()]))

describe(`in a log of ${LONG.toLocaleString('en')} entries`, () => {
  test.each<[string, number, (of: Filled) => Promise<void>]>([
    [
      `${QUIET} events of a quiet topic are resumed`,
      3 * QUIET + ASIDE,
      async ({ log }) => {
        expect((await log.read(0, limit, quiet)).entries).toHaveLength(QUIET)
      },
    ],
    [
      `the last ${QUIET} events of a quiet topic are found`,
      3 * QUIET + ASIDE,
      async ({ log, size }) => {
        expect(await log.seek({ last: QUIET }, quiet)).toBe(size / QUIET - 1)
      },
    ],
    [
      'the newest events of three topics are read',
      3 * three.topics.size + ASIDE,
      async ({ log, size }) => {
        const { entries } = await log.read(0, { ...limit, latest: true }, three)
        expect(entries.map(({ seq }) => seq)).toEqual([size - 99, size - 98, size])
      },
    ],
  ])(`%s, fetching at most %i rows, as in a log of ${SHORT.toLocaleString('en')}`, async (_, rows, read) => {
    const cost = await long.cost(() => read(long))
    expect(cost.rows).toBeLessThanOrEqual(rows)
    expect(cost).toEqual(await short.cost(() => read(short)))
    looksUp(cost)
  })

  test.each([
    ['that matches nothing', 'other/**', 0],
    ['that matches one topic of a hundred', '*/7', 5],
    ['that matches everything', '**', limit.count],
  ])(
    `a read with a pattern %s looks at ${SCANNED.toLocaleString('en')} rows at most, and reports how far it got`,
    async (_, pattern, count) => {
      const filter = Filter.parse([pattern])
      const cost = await long.cost(async () => {
        const { entries, scannedTo } = await long.log.read(500, limit, filter)
        expect(entries).toHaveLength(count)
        expect(scannedTo).toBe(count < limit.count ? 500 + SCANNED : 500 + count)
      })
      expect(cost.rows).toBeLessThanOrEqual(SCANNED + count + ASIDE)
      looksUp(cost)
    },
  )
})

test('a search for the last 10,000 of 100 topics fetches at most 2,500 rows in a turn of the event loop', async () => {
  const sql = countedSql(new DatabaseSync(':memory:'))
  const log = sqlLog(sql, { durability: 'memory', home: 'test' })
  const names = Array.from({ length: 100 }, (_, i) => `t/${i}`)
  for (let i = 0; i < 200; i++) await log.append(names.map((topic) => ({ topic, data: '' })))
  let isOver = false
  let most = 0
  let [before, isFirst] = [sql.cost.rows, true]
  const watch = () => {
    if (!isFirst) most = Math.max(most, sql.cost.rows - before)
    ;[before, isFirst] = [sql.cost.rows, false]
    if (!isOver) setImmediate(watch)
  }
  watch()
  expect(await log.seek({ last: 10_000 }, Filter.parse(names))).toBe(10_000)
  isOver = true
  expect(most).toBeGreaterThan(500)
  expect(most).toBeLessThan(2500)
  await log.close()
})

test('a commit writes the marks of closed topics only when it adds one', async () => {
  const sql = countedSql(new DatabaseSync(':memory:'))
  const log = sqlLog(sql, { durability: 'memory', home: 'test' })
  const cost = await costOf(sql, async () => {
    for (let i = 0; i < 10; i++) await log.append([{ topic: 'a', data: `${i}` }])
  })
  const writes = (table: string) =>
    [...cost.calls].filter(([text]) => text.startsWith(`UPDATE ${table} `)).reduce((sum, [, calls]) => sum + calls, 0)
  expect([writes('state'), writes('marks')]).toEqual([10, 1])
  await log.close()
})

test('erasing what does not exist writes nothing', async () => {
  const sql = countedSql(new DatabaseSync(':memory:'))
  const log = sqlLog(sql, { durability: 'memory', home: 'test' })
  await log.append([{ topic: 'a', data: '1' }])
  const cost = await costOf(sql, async () => {
    for (const erase of [log.erase('never'), log.erase('never', 1), log.erase('a', 7)]) expect(await erase).toBe(0)
  })
  expect([...cost.calls.keys()].filter((text) => !text.startsWith('SELECT'))).toEqual([])
  await log.close()
})

test('a list of topics skips fully trimmed topics without looking at them', async () => {
  const database = new DatabaseSync(':memory:')
  const sql = countedSql(database)
  const log = sqlLog(sql, { durability: 'memory', home: 'test', retention: { count: 10 } })
  await log.append(Array.from({ length: SHORT }, (_, i) => ({ topic: `t/${i}`, data: '' })))
  const cost = await costOf(sql, () => log.topics({ prefix: 't/', after: '', limit: 5 }))
  expect(cost.rows).toBeLessThanOrEqual(5 + ASIDE)
  const [list] = [...cost.calls.keys()].filter((text) => text.includes('ORDER BY name'))
  expect(planOf(database, list!)).toBe('SEARCH topic USING INDEX topic_shown (name>? AND name<?)')
  await log.close()
})

/** Fills a log with entries of a hundred topics and the quiet one, over a database that counts the rows it returns. */
async function filled(size: number): Promise<Filled> {
  const database = new DatabaseSync(':memory:')
  const sql = countedSql(database)
  const log = sqlLog(sql, { durability: 'memory', home: 'test', retention: {} })
  const topicOf = (seq: number) => (seq % (size / QUIET) === 0 ? 'quiet' : `busy/${seq % 100}`)
  for (let after = 0; after < size; after += BATCH) {
    const seqs = Array.from({ length: BATCH }, (_, i) => after + i + 1)
    await log.append(seqs.map((seq) => ({ topic: topicOf(seq), data: `${seq}` })))
  }
  return { size, log, database, cost: (run) => costOf(sql, run) }
}

/** Expects plans without scans. The cost counts the returned rows only; the plans show that SQLite looks at no other rows. */
function looksUp({ calls }: Cost): void {
  expect(calls.size).toBeGreaterThan(0)
  for (const text of calls.keys()) {
    const plan = planOf(long.database, text)
    // A list passed as a parameter is scanned, of course.
    expect(plan, text).not.toMatch(/SCAN (?!json_each)|TEMP B-TREE/)
    // A search by seq alone would need no scan either, but would look at the rows of all other topics.
    for (const [, column] of text.matchAll(/(\w+) = \?/g))
      expect(plan, text).toContain(`${column === 'seq' ? 'rowid' : column}=?`)
  }
}
