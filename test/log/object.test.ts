import { env, runInDurableObject } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import { type ObjectState, openObject } from '../../src/adapters/object.ts'
import type { TidingsHub } from '../../src/adapters/worker.ts'
import type { SqlRow, SqlValue } from '../../src/log/database.ts'
import type { Log, Message, Retention } from '../../src/log/log.ts'
import { counted } from '../costs/counted.ts'
import { resumeSuite } from '../hub/resume.suite.ts'
import { logSuite, type Place } from './suite.ts'

/** The state of an object, with the counts of the platform. */
interface CountedState extends Omit<ObjectState, 'storage'> {
  readonly storage: Omit<ObjectState['storage'], 'sql'> & {
    readonly sql: {
      exec(
        text: string,
        ...values: SqlValue[]
      ): { toArray(): SqlRow[]; readonly rowsWritten: number; readonly rowsRead: number }
      readonly databaseSize: number
    }
  }
}

/** This file runs inside workerd; each place is a Durable Object, and each call of a log runs in the context of its object. */
logSuite({ name: 'the SQL of a Durable Object', survives: true, place })
resumeSuite('a Durable Object', (options) => place().open(options))

function place(): Place {
  const object = env.HUBS.get(env.HUBS.newUniqueId())
  const inside = <T>(call: (state: ObjectState) => T | Promise<T>) =>
    runInDurableObject(object, (_: TidingsHub, state: ObjectState) => call(state))
  return {
    async open(options) {
      const log = await inside((state) => openObject(state, options))
      const called =
        (name: keyof Log) =>
        (...given: unknown[]) =>
          inside(() => (log[name] as (...given: unknown[]) => unknown)(...given))
      const runs = Object.fromEntries(
        (['claim', 'renew', 'stop', 'get', 'list', 'watch'] as const).map((name) => [
          name,
          (...given: unknown[]) => inside(() => (log.runs[name] as (...given: unknown[]) => unknown)(...given)),
        ]),
      )
      const { epoch, durability, warnings } = log
      const methods = ['append', 'read', 'seek', 'topics', 'erase', 'follow', 'check', 'close'] as const
      return {
        epoch,
        durability,
        warnings,
        runs,
        ...Object.fromEntries(methods.map((name) => [name, called(name)])),
      } as unknown as Log
    },
    remove() {},
  }
}

describe('what the platform bills', () => {
  interface Rows {
    readonly written: number
    readonly read: number
  }
  type Counted = (act: () => Promise<unknown>) => Promise<Rows>

  /** Opens a log that counts the rows that an act writes and reads. */
  const counting = <T>(retention: Retention, run: (log: Log, rowsOf: Counted) => Promise<T>) =>
    runInDurableObject(env.HUBS.get(env.HUBS.newUniqueId()), async (_: TidingsHub, state: CountedState) => {
      let [written, read] = [0, 0]
      const exec = (text: string, ...values: SqlValue[]) => {
        const cursor = state.storage.sql.exec(text, ...values)
        return {
          toArray() {
            const rows = cursor.toArray()
            written += cursor.rowsWritten
            read += cursor.rowsRead
            return rows
          },
        }
      }
      const storage = {
        sql: { exec },
        transactionSync: (run: () => void) => state.storage.transactionSync(run),
        sync: () => state.storage.sync(),
        setAlarm: (time: number) => state.storage.setAlarm(time),
      }
      const log = openObject({ id: state.id, storage }, { retention })
      try {
        return await run(log, async (act) => {
          written = read = 0
          await act()
          return { written, read }
        })
      } finally {
        await log.close()
      }
    })
  /** Publishes messages one after another and returns how many rows each wrote and read. */
  const countsOf = (retention: Retention, messages: readonly Message[]) =>
    counting(retention, async (log, rowsOf) => {
      const each: Rows[] = []
      for (const message of messages) each.push(await rowsOf(() => log.append([message])))
      return each
    })
  const rowsOf = async (retention: Retention, messages: readonly Message[]) =>
    (await countsOf(retention, messages)).map(({ written }) => written)
  const published = (count: number, topics: number) =>
    Array.from({ length: count }, (_, i) => ({ topic: `t/${i % topics}`, data: `${i}` }))

  test('a publish writes 3', async () => {
    expect((await rowsOf({}, published(40, 10))).slice(1)).toEqual(Array(39).fill(counted.rows))
  })

  test('a publish at the bound of the retention writes 4', async () => {
    const retention = { count: 20 }
    expect((await rowsOf(retention, published(50, 10))).slice(20)).toEqual(Array(30).fill(counted.rowsAtBound))
  })

  test('a publish with a key writes 2 more', async () => {
    const keyed = published(20, 1).map((message, i) => ({ ...message, key: `${i}` }))
    expect((await rowsOf({}, keyed)).slice(1)).toEqual(Array(19).fill(5))
  })

  test('a publish with a key reads 3 rows, one of them the oldest key, however many keys are kept', async () => {
    const keyed = published(100, 1).map((message, i) => ({ ...message, key: `${i}` }))
    expect((await countsOf({}, keyed)).slice(1).map(({ read }) => read)).toEqual(Array(99).fill(3))
  })

  test('a publish to one of many topics writes 5 on average, as a row of its own for each topic would', async () => {
    const all = await rowsOf({}, published(200, 100))
    expect(all.reduce((sum, one) => sum + one) / all.length).toBeLessThanOrEqual(5)
  })

  test('a publish under a run writes 3, as one without, and a renewal none, but a lease in a third of its time', () =>
    counting({}, async (log, rowsOf) => {
      await log.runs.claim('t/0', { token: 'run', leaseMs: 60_000, graceMs: 0 })
      const [message] = published(1, 1)
      await log.append([{ ...message!, run: 'run' }])
      const acts = [
        ...Array<() => Promise<unknown>>(10).fill(() => log.append([{ ...message!, run: 'run' }])),
        ...Array<() => Promise<unknown>>(10).fill(() => log.runs.renew('t/0', 'run')),
      ]
      const each: number[] = []
      for (const act of acts) each.push((await rowsOf(act)).written)
      expect(each).toEqual([...Array(10).fill(counted.rows), ...Array(10).fill(0)])
    }))

  test('a publish reads 2 rows, and at the bound of the retention at most 20', async () => {
    const read = (await countsOf({ count: 20 }, published(50, 10))).map(({ read }) => read)
    expect(read.slice(1, 20)).toEqual(Array(19).fill(2))
    expect(Math.max(...read.slice(20))).toBeLessThanOrEqual(counted.rowsRead)
  })

  test('an event with 200 bytes of data takes at most 300 bytes of the database', () =>
    runInDurableObject(env.HUBS.get(env.HUBS.newUniqueId()), async (_: TidingsHub, state: CountedState) => {
      const log = openObject(state)
      const before = state.storage.sql.databaseSize
      await log.append(published(1000, 10).map((message) => ({ ...message, data: 'x'.repeat(200) })))
      expect((state.storage.sql.databaseSize - before) / 1000).toBeLessThanOrEqual(counted.bytes)
      await log.close()
    }))
})
