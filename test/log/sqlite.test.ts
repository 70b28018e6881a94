import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { type Sql, type SqlRow, sqlLog } from '../../src/log/sql.ts'
import { Filter } from '../../src/topic.ts'
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
  test('makes the folders it needs, and says disk', async () => {
    const path = join(file(), '..', 'new', 'deep', 'hub.db')
    const log = openSqlite(path)
    expect(log.durability).toBe('disk')
    await log.close()
    expect(existsSync(path)).toBe(true)
  })

  test('says clearly that it cannot be made', () => {
    const blocked = join(file(), 'hub.db')
    writeFileSync(join(blocked, '..'), 'a file where a folder should be')
    expect(() => openSqlite(blocked)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringContaining(blocked) }),
    )
  })

  test('says clearly that a file is no database', () => {
    const path = file()
    writeFileSync(path, 'this is not a database '.repeat(100))
    expect(() => openSqlite(path)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringContaining('not a database') }),
    )
  })

  test('is locked for a second writer, by whatever name, which is told who has it; and open to readers', async () => {
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

  test('has another epoch where it is a copy, and the same history', async () => {
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

  test('is refused from a newer version, untouched', async () => {
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

  test('is brought up from an older version with all it holds', async () => {
    const path = file()
    const log = openSqlite(path)
    await log.close()
    const database = new DatabaseSync(path)
    database.exec(`DROP INDEX topic_emptied; ALTER TABLE topic DROP COLUMN closed; ALTER TABLE entry DROP COLUMN close; UPDATE version SET steps = 1;
      INSERT INTO entry (seq, topic, time, bytes, data) VALUES (1, 'a', 5, 2, 'x'); INSERT INTO topic (name, count, bytes, trimmed) VALUES ('a', 1, 2, 0);
      UPDATE state SET head = 1, count = 1, bytes = 2`)
    database.close()
    const again = openSqlite(path)
    expect(again.epoch).toBe(log.epoch)
    await again.append([{ topic: 'a', data: 'y', close: true }])
    expect((await again.read(0, all, Filter.parse(['a']))).entries).toMatchObject([
      { data: 'x' },
      { data: 'y', close: true },
    ])
    await again.close()
  })

  test('fails every append of a group as unknown when its commit fails, then goes on without a hole', async () => {
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

  test('looks at nothing it does not need: every statement it runs goes by an index', async () => {
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
    await log.newest('t/1')
    await log.closed(['t/1'])
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

/** An `Sql` as the adapter's, whose transactions fail at their commit as a full or broken disk makes them. */
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
