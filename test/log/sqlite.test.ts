import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { tipFile } from '../../src/adapters/sqlite/tip.ts'
import { emptyWal, WAL_BYTES } from '../../src/adapters/sqlite/wal.ts'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { AppError } from '../../src/errors.ts'
import type { Sql, SqlRow } from '../../src/log/database.ts'
import { migrate, steps } from '../../src/log/schema.ts'
import { sqlLog } from '../../src/log/sql.ts'
import { Filter } from '../../src/topic.ts'
import { FailingSql } from '../server/sql.ts'
import { logSuite } from './suite.ts'

logSuite({
  name: 'sqlite',
  survives: true,
  place() {
    const folder = mkdtempSync(join(tmpdir(), 'tidings-'))
    return {
      open: (options) => openSqlite(join(folder, 'hub.db'), options),
      remove: () => rmSync(folder, { recursive: true }),
    }
  },
})

const folders: string[] = []
const file = () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-'))
  folders.push(folder)
  return join(folder, 'hub.db')
}
const all = { count: 1000, bytes: 1e9 }

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

describe('a log in an SQLite file', () => {
  test('creates missing folders and declares the durability disk', async () => {
    const path = join(file(), '..', 'new', 'deep', 'hub.db')
    const log = openSqlite(path)
    expect(log.durability).toBe('disk')
    await log.close()
    expect(existsSync(path)).toBe(true)
  })

  test('names the path that cannot be created', () => {
    const blocked = join(file(), 'hub.db')
    writeFileSync(join(blocked, '..'), 'a file where a folder should be')
    expect(() => openSqlite(blocked)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringContaining(blocked) }),
    )
  })

  test('reports a file that is not a database', () => {
    const path = file()
    writeFileSync(path, 'this is not a database '.repeat(100))
    expect(() => openSqlite(path)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringContaining('not a database') }),
    )
  })

  test('refuses a second writer by any path to the file, names the process that writes, and lets others read', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: 'x' }])
    const link = join(path, '..', 'link.db')
    symlinkSync(path, link)
    for (const name of [path, link])
      expect(() => openSqlite(name)).toThrow(
        expect.objectContaining({
          code: 'log_locked',
          message: expect.stringContaining(`process ${process.pid} is writing`),
        }),
      )
    const reader = new DatabaseSync(path, { readOnly: true })
    expect(reader.prepare('SELECT data FROM entry').all()).toEqual([{ data: 'x' }])
    reader.close()
    await log.close()
    await openSqlite(path).close()
  })

  test('leaves no bytes of erased entries in its files, short or long', async () => {
    const path = file()
    const log = openSqlite(path)
    const canary = `canary${'x'.repeat(50_000)}yranac`
    await log.append([
      { topic: 'a', data: `short canary`, event: 'canary-event' },
      { topic: 'a', data: canary },
      { topic: 'forgotten', data: canary },
      { topic: 'a', data: 'kept' },
    ])
    const holds = (text: string) =>
      [path, `${path}-wal`].some((name) => existsSync(name) && readFileSync(name).includes(text))
    expect([holds('canary'), holds('yranac'), holds('kept')]).toEqual([true, true, true])
    for (const seq of [1, 2]) await log.erase('a', seq)
    await log.erase('forgotten')
    expect([holds('canary'), holds('yranac'), holds('kept')]).toEqual([false, false, true])
    await log.append([{ topic: 'a', data: 'after' }])
    await log.close()
    expect(holds('canary')).toBe(false)
  })

  test('erases while a backup reads, without waiting for the backup', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: 'canary' }])
    const reader = new DatabaseSync(path, { readOnly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM entry').all()
    const began = performance.now()
    expect(await log.erase('a', 1)).toBe(1)
    expect(performance.now() - began).toBeLessThan(2000) // SQLite's own busy timeout is 5 s
    reader.close()
    await log.close()
  })

  test('waits for a lock of another process without blocking the event loop, and then refuses the append', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: '1' }])
    const other = new DatabaseSync(path)
    let turns = 0
    const counting = setInterval(() => turns++, 10)

    other.exec('BEGIN IMMEDIATE')
    const waiting = log.append([{ topic: 'a', data: '2' }])
    await pause(500)
    expect(turns).toBeGreaterThan(5) // no turns if the wait were inside SQLite
    expect((await log.read(0, all, Filter.parse(['a']))).entries).toHaveLength(1)
    other.exec('COMMIT')
    expect(await waiting).toMatchObject([{ seq: 2 }])

    other.exec('BEGIN IMMEDIATE')
    turns = 0
    await expect(log.append([{ topic: 'a', data: '3' }])).rejects.toMatchObject({ code: 'log_unavailable' })
    expect(turns).toBeGreaterThan(50)
    other.exec('COMMIT')
    expect(await log.append([{ topic: 'a', data: '4' }])).toMatchObject([{ seq: 3 }])
    clearInterval(counting)
    other.close()
    await log.close()
  })

  test('refuses all calls that wait for a lock at the same time, and later ones at once', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: 'x' }])
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    await new Promise((resolve) => setTimeout(resolve, 1200)) // a commit answers checks for a second
    const began = performance.now()
    const refused = (act: Promise<unknown>) => expect(act).rejects.toMatchObject({ code: 'log_unavailable' })
    await Promise.all([...Array.from({ length: 6 }, () => refused(log.check())), refused(log.erase('a', 1))])
    for (let i = 0; i < 3; i++) await refused(log.append([{ topic: 'a', data: 'x' }]))
    const closing = log.close()
    await closing
    expect(performance.now() - began).toBeLessThan(9000) // one after another they would wait for 5 s each
    other.close()
  })

  test('removes the bytes of an erased entry once another process has stopped reading the file', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: 'canary' }])
    const reader = new DatabaseSync(path, { readOnly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM entry').all()
    expect(await log.erase('a', 1)).toBe(1)
    const holds = () => [path, `${path}-wal`].some((name) => readFileSync(name).includes('canary'))
    expect(holds()).toBe(true)
    reader.close()
    await expect.poll(holds).toBe(false)
    await log.close()
  })

  test('warns while a reader pins a WAL larger than the retention, and empties the WAL once the reader closes', async () => {
    const path = file()
    const warnings: string[] = []
    const log = openSqlite(path, { retention: { bytes: 1024 ** 2 }, warn: (sentence) => warnings.push(sentence) })
    const size = () => statSync(`${path}-wal`).size
    await log.append([{ topic: 'a', data: 'x' }])
    const reader = new DatabaseSync(path, { readOnly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM entry').all()
    for (let i = 0; i < 10; i++)
      await log.append(Array.from({ length: 50 }, () => ({ topic: 'a', data: 'x'.repeat(60_000) })))
    expect(size()).toBeGreaterThan(20 * 1024 ** 2)
    await expect.poll(() => log.warnings).toEqual([expect.stringContaining('hub.db-wal has grown past')])
    expect(warnings.length).toBeGreaterThan(0)
    reader.close()
    await expect.poll(() => [size(), log.warnings]).toEqual([0, []])
    await log.append([{ topic: 'a', data: 'y' }])
    await log.close()
  })

  test('repeats the warning of a pinned WAL only once the WAL has doubled', async () => {
    const path = file()
    const log = openSqlite(path)
    const [reader, writer] = [new DatabaseSync(path, { readOnly: true }), new DatabaseSync(path)]
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM entry').all()
    const warning = async (mib: number) => {
      for (let i = 0; i < mib; i++)
        await log.append(Array.from({ length: 16 }, () => ({ topic: 'a', data: 'x'.repeat(60_000) })))
      return emptyWal(writer, path, 0)
    }
    const sentences = [await warning(18), await warning(3), await warning(3), await warning(16)]
    expect(sentences[0]).toMatch(/^hub\.db-wal has grown past 16 MiB/)
    expect(sentences.slice(1, 3)).toEqual([sentences[0], sentences[0]])
    expect(sentences[3]).toMatch(/past 32 MiB/)
    for (const database of [reader, writer]) database.close()
    await log.close()
  })

  test('limits the size of its WAL also between its own checks, once nobody pins the WAL', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const path = file()
    const log = openSqlite(path)
    const [reader, other] = [new DatabaseSync(path, { readOnly: true }), new DatabaseSync(path)]
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM entry').all()
    for (let i = 0; i < 20; i++)
      await log.append(Array.from({ length: 16 }, () => ({ topic: 'a', data: 'x'.repeat(60_000) })))
    const size = () => statSync(`${path}-wal`).size
    expect(size()).toBeGreaterThan(WAL_BYTES)
    reader.close()
    other.exec('PRAGMA wal_checkpoint(PASSIVE)')
    await log.append([{ topic: 'a', data: 'x' }]) // writes from the beginning of the WAL again
    expect(size()).toBeLessThanOrEqual(WAL_BYTES)
    other.close()
    await log.close()
  })

  test('gives a copy another epoch and the same entries', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: 'x' }])
    const copy = `${path}-copy`
    const database = new DatabaseSync(path)
    database.exec(`VACUUM INTO '${copy}'`)
    database.close()
    const other = openSqlite(copy)
    expect(other.epoch).not.toBe(log.epoch)
    expect((await other.read(0, all, Filter.parse(['a']))).entries).toMatchObject([{ seq: 1, data: 'x' }])
    await other.close()
    const again = openSqlite(copy)
    expect(again.epoch).toBe(other.epoch)
    await Promise.all([log.close(), again.close()])
  })

  test('refuses the file of a newer version and leaves it untouched', async () => {
    const path = file()
    await openSqlite(path).close()
    const database = new DatabaseSync(path)
    database.exec('UPDATE version SET steps = 99')
    database.close()
    expect(() => openSqlite(path)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringContaining('version is 99') }),
    )
    const after = new DatabaseSync(path)
    expect(after.prepare('SELECT steps FROM version').get()).toEqual({ steps: 99 })
    after.close()
  })

  test('migrates an older version with all its data, or leaves it as it was', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.append([{ topic: 'a', data: 'x', key: 'k' }])
    await log.close()
    const database = new DatabaseSync(path)
    const sql = plainSql(database)
    const home = sql.all('SELECT home FROM state')[0]!.home as string
    const tip = tipFile(`${path}-tip`)
    expect(() => migrate(sql, { home, tip }, [...steps, 'ALTER TABLE entry ADD COLUMN tag TEXT; not SQL'])).toThrow(
      /syntax/,
    )
    expect(sql.all('SELECT steps FROM version')).toEqual([{ steps: steps.length }])
    migrate(sql, { home, tip }, [...steps, 'ALTER TABLE entry ADD COLUMN tag TEXT; CREATE INDEX tags ON entry (tag)'])
    expect(sql.all('SELECT seq, data, tag FROM entry')).toEqual([{ seq: 1, data: 'x', tag: null }])
    expect(sql.all('SELECT steps FROM version')).toEqual([{ steps: steps.length + 1 }])
    expect(sql.all('SELECT epoch FROM state')).toEqual([{ epoch: log.epoch }])
    database.close()
    expect(() => openSqlite(path)).toThrow(/use a newer release/)
  })

  test('reports a lock file that cannot be used', () => {
    const folder = file()
    mkdirSync(`${folder}-lock`)
    expect(() => openSqlite(folder)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringContaining('-lock') }),
    )
    const garbage = file()
    writeFileSync(`${garbage}-lock`, 'this is not a database '.repeat(100))
    expect(() => openSqlite(garbage)).toThrow(expect.objectContaining({ code: 'log_unusable' }))
  })

  test('is checked by a real commit, at most once a second', async () => {
    const path = file()
    const log = openSqlite(path)
    const reader = new DatabaseSync(path, { readOnly: true })
    const commits = () => reader.prepare('SELECT commits FROM state').get()!.commits
    await log.check()
    await log.check()
    expect(commits()).toBe(1) // within a second the result of the last commit counts
    reader.close()
    await log.close()
  })

  test('answers outcome_unknown to every append of a group whose commit fails, and continues without a hole', async () => {
    const path = file()
    let broken = false
    const sql = withFailingCommits(path, () => broken)
    const log = sqlLog(sql, { durability: 'disk', home: 'test' })
    const got: number[] = []
    await log.follow((entries) => got.push(...entries.map(({ seq }) => seq)))
    await log.append([{ topic: 'a', data: '1' }])
    broken = true
    const failed = await Promise.allSettled([
      log.append([{ topic: 'a', data: '2', key: 'k' }]),
      log.append([{ topic: 'b', data: '3' }]),
    ])
    for (const result of failed)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'outcome_unknown' } })
    await expect(log.check()).rejects.toMatchObject({ code: 'log_unusable' })
    broken = false
    await expect(log.check()).resolves.toBeUndefined()
    expect(await log.append([{ topic: 'a', data: '2', key: 'k' }])).toMatchObject([{ seq: 2, duplicate: false }])
    expect(got).toEqual([1, 2])
    await log.close()
  })

  test.each(['at a statement', 'at the commit', 'no room'] as const)(
    'forgets a commit that fails %s: nothing is trimmed and no gap is reported',
    async (fault) => {
      const sql = new FailingSql(file())
      const log = sqlLog(sql.open(), { durability: 'disk', home: 'test', retention: { count: 3 } })
      const filter = Filter.parse(['t/*'])
      const read = async () => {
        const { entries, trimmed } = await log.read(0, all, filter)
        return { seqs: entries.map(({ seq }) => seq), trimmed }
      }
      for (let i = 1; i <= 3; i++) await log.append([{ topic: `t/${i}`, data: 'x' }])
      const before = { seqs: [1, 2, 3], trimmed: undefined }
      expect(await read()).toEqual(before)
      const long = { topic: 't/4', data: 'x'.repeat(50_000) }
      let failures = 0
      for (let at = 0, isDone = false; !isDone; at++) {
        await sql.failing(fault, at, async () => {
          const outcome = await log.append([long, long]).then(
            () => 'appended',
            ({ code }) => code,
          )
          isDone = outcome === 'appended'
          if (!isDone) expect([outcome, await read()]).toEqual(['outcome_unknown', before])
        })
        if (!isDone) failures++
        if (fault !== 'at a statement') isDone = true
      }
      if (fault === 'at a statement') expect(failures).toBeGreaterThan(5)
      else {
        expect([failures, await read()]).toEqual([1, before])
        await log.append([long, long])
      }
      expect(await read()).toEqual({ seqs: [3, 4, 5], trimmed: { to: 2, exact: true } })
      await log.close()
    },
  )

  test('finds out what a commit did if its answer was lost, and reports its entries and erasures to followers', async () => {
    const sql = new FailingSql(file())
    const log = sqlLog(sql.open(), { durability: 'disk', home: 'test', retention: { count: 3 } })
    const heard: unknown[] = []
    await log.follow(
      (entries) => heard.push(...entries.map(({ seq }) => seq)),
      (...erased) => heard.push(erased),
    )
    for (let i = 1; i <= 3; i++) await log.append([{ topic: `t/${i}`, data: 'x' }])
    const read = () => log.read(0, all, Filter.parse(['t/*']))
    expect((await read()).trimmed).toBeUndefined()
    const lose = (act: () => Promise<unknown>) =>
      sql.failing('after commit', 0, () => expect(act()).rejects.toMatchObject({ code: 'outcome_unknown' }))

    await lose(() => log.append([{ topic: 't/4', data: 'x', key: 'k' }]))
    expect((await read()).trimmed).toEqual({ to: 1, exact: true })
    expect(await log.append([{ topic: 't/4', data: 'x', key: 'k' }])).toMatchObject([{ seq: 4, duplicate: true }])
    await lose(() => log.erase('t/2', 2))
    expect(await log.erase('t/2', 2)).toBe(0)
    await log.append([{ topic: 't/3', close: true }])
    await lose(() => log.erase('t/3'))
    expect(await log.topics({ names: ['t/3'] })).toMatchObject([{ count: 0, closed: 0 }])
    expect(heard).toEqual([1, 2, 3, 4, ['t/2', 2, 2], 5, ['t/3', undefined, 5]])
    await log.close()
  })

  test('answers outcome_unknown and delivers nothing when the file disappears during the commit', async () => {
    const path = file()
    const lost = new AppError('log_unusable', 'The file is gone')
    let isLost = false
    const sql: Sql = {
      ...plainSql(new DatabaseSync(path), () => {
        isLost = data.includes('2') // the file disappears during the commit of this entry
      }),
      verify() {
        if (isLost) throw lost
      },
    }
    const data: string[] = []
    const log = sqlLog(sql, { durability: 'disk', home: 'test' })
    const got: number[] = []
    await log.follow((entries) => got.push(...entries.map(({ seq }) => seq)))
    const publish = (text: string) => {
      data.push(text)
      return log.append([{ topic: 'a', data: text }])
    }
    await publish('1')
    await expect(publish('2')).rejects.toMatchObject({ code: 'outcome_unknown' })
    await expect(publish('3')).rejects.toBe(lost)
    await expect(log.check()).rejects.toBe(lost)
    expect(got).toEqual([1])
    data.length = 0
    isLost = false
    expect(await log.append([{ topic: 'a', data: '4' }])).toMatchObject([{ seq: 3 }])
    expect(got).toEqual([1, 2, 3])
    await log.close()
  })

  test('runs every statement by an index, without table scans and sorting', async () => {
    const database = new DatabaseSync(file())
    const statements = new Set<string>()
    const sql: Sql = {
      ...plainSql(database),
      all(text, ...values) {
        statements.add(text)
        return database.prepare(text).all(...values) as SqlRow[]
      },
    }
    const log = sqlLog(sql, {
      durability: 'disk',
      home: 'test',
      retention: { count: 3, topicCount: 2 },
      keyCount: 1,
      trimmedCount: 1,
    })
    for (let i = 0; i < 9; i++) await log.append([{ topic: `t/${i % 4}`, data: 'x', key: `${i}` }])
    for (const names of [['t/1', 't/2'], ['t/*']]) await log.read(0, all, Filter.parse(names))
    for (const names of [['t/1', 't/2'], ['t/*']]) {
      await log.read(0, { ...all, latest: true }, Filter.parse(names))
      for (const beginning of [{ last: 3 }, { since: Date.now() }]) await log.seek(beginning, Filter.parse(names))
    }
    await log.topics({ names: ['t/1'] })
    await log.topics({ prefix: 't/', after: 't/1', limit: 2 })
    await log.append([{ topic: 'c', data: 'x', close: true }])
    await log.erase('c', 10)
    await log.erase('c')
    const plans = [...statements]
      .filter((text) => /\b(FROM (entry|topic|key)|UPDATE (entry|topic|key))\b/.test(text))
      .map((text) => [
        text,
        database
          .prepare(`EXPLAIN QUERY PLAN ${text}`)
          .all()
          .map((row) => row.detail)
          .join('; '),
      ])
    expect(plans.length).toBeGreaterThan(9)
    for (const [text, plan] of plans)
      expect([text, plan]).toEqual([text, expect.not.stringMatching(/SCAN (entry|topic|key)(?! USING)|TEMP B-TREE/)])
    await log.close()
  })
})

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

describe('a log whose commits become durable later', () => {
  const slow = (flush: () => Promise<void>) =>
    sqlLog({ ...plainSql(new DatabaseSync(file())), flush }, { durability: 'disk', home: 'test' })

  test('shows an entry to no reader or follower before it is durable, and delivers it once', async () => {
    let flushed = 0
    const log = slow(async () => {
      await pause(20)
      flushed++
    })
    const seen: [string, number, number][] = []
    await log.follow((entries) =>
      seen.push(...entries.map(({ seq }) => ['delivered', seq, flushed] as [string, number, number])),
    )
    const appended = log.append([{ topic: 'a', data: '1' }])
    const read = async () => {
      for (const filter of [Filter.parse(['a']), Filter.parse(['**'])]) {
        const { entries, scannedTo } = await log.read(0, all, filter)
        seen.push(...entries.map(({ seq }) => ['read', seq, flushed] as [string, number, number]))
        expect(scannedTo).toBe(entries.length)
      }
    }
    for (let i = 0; i < 10; i++) await Promise.all([read(), pause(3)])
    await appended
    expect(await log.topics({ names: ['a'] })).toMatchObject([{ last: 1 }])
    expect(seen.filter(([how]) => how === 'delivered')).toEqual([['delivered', 1, 1]])
    expect(seen.filter(([, , after]) => after === 0)).toEqual([])
    await log.close()
  })

  test('gives each append its own receipt while checks commit in between', async () => {
    const log = slow(() => pause(5))
    for (let i = 1; i <= 20; i++) {
      const appended = log.append([{ topic: 'a', data: `${i}` }])
      await pause(2)
      const [[receipt]] = await Promise.all([appended, log.check(), log.topics({ names: ['a'] })])
      expect(receipt!.seq).toBe(i)
    }
    await log.close()
  })

  test('delivers the entries of a failed flush once a later flush has succeeded', async () => {
    let broken = true
    const log = slow(async () => {
      if (broken) throw new Error('no disk')
    })
    const got: number[] = []
    await log.follow((entries) => got.push(...entries.map(({ seq }) => seq)))
    await expect(log.append([{ topic: 'a', data: '1' }])).rejects.toMatchObject({ code: 'outcome_unknown' })
    await pause(20)
    expect(got).toEqual([])
    broken = false
    await log.append([{ topic: 'a', data: '2' }])
    expect(got).toEqual([1, 2])
    await log.close()
  })
})

/** An `Sql` like the adapter's, whose commits fail as on a full or broken disk. */
function withFailingCommits(path: string, isBroken: () => boolean): Sql {
  return plainSql(new DatabaseSync(path), () => {
    if (isBroken()) throw new Error('disk I/O error')
  })
}

function plainSql(database: DatabaseSync, beforeCommit = () => {}): Sql {
  return {
    exec: (text) => database.exec(text),
    all: (text, ...values) => database.prepare(text).all(...values) as SqlRow[],
    transaction(run) {
      database.exec('BEGIN IMMEDIATE')
      try {
        run()
        beforeCommit()
        database.exec('COMMIT')
      } catch (cause) {
        database.exec('ROLLBACK')
        throw cause
      }
    },
    close: () => database.close(),
  }
}
