import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Alarm } from '../../src/log/alarm.ts'
import type { Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { type SqlLogOptions, sqlLog } from '../../src/log/sql.ts'
import { cleanUp, folder } from '../server/server.ts'
import { FailingSql } from '../server/sql.ts'

afterAll(cleanUp)

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const outcomeIn = (sql: FailingSql) => sql.row("SELECT outcome FROM run WHERE topic = 'a'")?.outcome
const never: Alarm = { set: () => {}, clear: () => {} }

function open(more: Partial<SqlLogOptions> = {}): { log: Log; sql: FailingSql } {
  const sql = new FailingSql(join(folder(), 'hub.db'))
  const log = sqlLog(sql.open(), { durability: 'disk', home: 'test', ...more })
  onTestFinished(() => log.close())
  return { log, sql }
}

describe('a platform that calls sweep when its alarm rings', () => {
  test.each([
    ['a run has ended', true],
    ['the last entry is too old', false],
  ])('is not called again for what is over: %s', async (_, hasRetention) => {
    let rings = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const alarm: Alarm = {
      set(time) {
        clearTimeout(timer)
        timer = setTimeout(
          () => {
            rings++
            void log.sweep!()
          },
          Math.max(0, time - Date.now()),
        )
      },
      clear: () => clearTimeout(timer),
    }
    const ageMs = hasRetention ? 3_600_000 : 300
    const { log } = open({ alarm, retention: { ageMs } })
    onTestFinished(() => clearTimeout(timer))
    await log.append([{ topic: 'b', data: 'kept' }])
    const leaseMs = hasRetention ? 150 : 3_600_000
    await log.runs.claim('a', { token: 't', leaseMs, graceMs: 0 })
    if (hasRetention) await log.append([{ topic: 'a', run: 't', close: true }])
    await pause(700)
    expect(rings).toBeLessThanOrEqual(3)
  })
})

test('a run whose claim may have been made ends too, although nothing else happens', async () => {
  const { log, sql } = open()
  await sql.failing('after commit', 0, async () => {
    const claim = log.runs.claim('a', { token: 't', leaseMs: 100, graceMs: 0 })
    await expect(claim).rejects.toMatchObject({ code: 'outcome_unknown' })
  })
  await expect.poll(() => outcomeIn(sql), { timeout: 3000 }).toBe('abandoned')
})

test('a takeover that may have been made has the lease that it asked for, and not the rest of the one before', async () => {
  const { log, sql } = open()
  await log.runs.claim('a', { token: 't1', key: 'me', leaseMs: 100, graceMs: 0 })
  await sql.failing('after commit', 0, async () => {
    const claim = log.runs.claim('a', { token: 't2', key: 'me', leaseMs: 60_000, graceMs: 0 })
    await expect(claim).rejects.toMatchObject({ code: 'outcome_unknown' })
  })
  await pause(300)
  const other = log.runs.claim('a', { token: 't3', leaseMs: 60_000, graceMs: 0 })
  await expect(other).rejects.toMatchObject({ code: 'run_taken' })
})

test('a renewal that cannot be stored is an error with a code', async () => {
  const { log, sql } = open({ keepsLeases: true })
  await log.runs.claim('a', { token: 't', leaseMs: 30, graceMs: 60_000 })
  await pause(40)
  await sql.failing('at the commit', 0, async () => {
    await expect(log.runs.renew('a', 't')).rejects.toMatchObject({ code: 'outcome_unknown' })
  })
})

test('a renewal makes no commit where the process keeps the leases', async () => {
  const { log, sql } = open()
  await log.runs.claim('a', { token: 't', leaseMs: 300, graceMs: 60_000 })
  const commits = () => sql.row('SELECT commits FROM state')
  const before = commits()
  await pause(200) // after a third of the lease, an end that is kept in the log would be stored again
  await log.runs.renew('a', 't')
  expect(commits()).toEqual(before)
})

test('claims that are refused and stops that change nothing make no commit', async () => {
  const { log, sql } = open({ maxRuns: 2 })
  await log.runs.claim('a', { token: 't', leaseMs: 60_000, graceMs: 0 })
  await log.runs.claim('b', { token: 't', leaseMs: 60_000, graceMs: 0 })
  await log.runs.stop('a')
  await log.append([{ topic: 'closed', close: true }])
  const commits = () => sql.row('SELECT commits FROM state')
  const before = commits()
  for (const topic of ['a', 'c', 'closed'])
    await expect(log.runs.claim(topic, { token: 'other', leaseMs: 60_000, graceMs: 0 })).rejects.toThrow()
  await log.runs.stop('a')
  await log.runs.stop('b', 2)
  await log.runs.stop('c', 1)
  await expect(log.runs.stop('closed')).rejects.toMatchObject({ code: 'topic_closed' })
  expect(commits()).toEqual(before)
})

test('a sign of life in the commit that would end its run counts', async () => {
  const { log } = open({ alarm: never })
  await log.runs.claim('a', { token: 't', leaseMs: 30, graceMs: 0 })
  await pause(50)
  const append = log.append([{ topic: 'a', data: 'late', run: 't' }])
  await Promise.all([append, log.sweep!()])
  expect((await log.runs.get(['a']))[0]).not.toHaveProperty('outcome')
})

test('claims that others have replaced cost nothing when they would have ended', async () => {
  const log = memoryLog()
  onTestFinished(() => log.close())
  for (let i = 0; i < 12_000; i++)
    await log.runs.claim('a', { token: `t${i}`, key: 'k', leaseMs: 1, graceMs: 0 }).catch(() => {})
  const outcomes = new Set<string>()
  for (let i = 0; i < 30; i++) {
    await log.append([{ topic: 'b', data: `${i}` }]).then(
      () => outcomes.add('taken'),
      ({ code }) => outcomes.add(code),
    )
    await pause(1)
  }
  expect([...outcomes]).toEqual(['taken'])
})

test('more runs than may wait for a commit end at once, and leave room for what others append', async () => {
  const log = memoryLog()
  onTestFinished(() => log.close())
  const topics = Array.from({ length: 12_000 }, (_, i) => `r/${i}`)
  await Promise.all(topics.map((topic) => log.runs.claim(topic, { token: 't', leaseMs: 1, graceMs: 0 })))
  const swept = log.sweep!()
  await log.append([{ topic: 'b', data: 'taken' }])
  await swept
  const active = async () => (await log.runs.get(topics)).filter((run) => run?.outcome === undefined)
  await expect.poll(active).toEqual([])
})
