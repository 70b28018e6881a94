import type { Alarm } from './alarm.ts'
import type { ClockStep } from './clock.ts'
import type { Sql, SqlRow, SqlValue } from './database.ts'
import type { Identity } from './identity.ts'
import { localLog } from './local.ts'
import type { Durability, Entry, Log, LogOptions } from './log.ts'
import { defaultLogOptions } from './log.ts'
import { RecentTopics } from './recent-topics.ts'
import type { TimeMark } from './rules.ts'
import { outcomeText, parseOutcome } from './run-rules.ts'
import { migrate } from './schema.ts'
import { runTables } from './sql-runs.ts'
import type { EntryRow, KeyRow, State, Tables, TopicRow } from './tables.ts'

export interface SqlLogOptions extends LogOptions, Identity {
  /** What an acknowledged commit of this database survives. */
  readonly durability: Durability
  /** Calls the log when its oldest entry is too old, and when a run is over; by default a timer. */
  readonly alarm?: Alarm | undefined
  /** Whether the ends of leases are stored, because the storage is closed whenever nobody uses it. */
  readonly keepsLeases?: boolean | undefined
}

/**
 * Opens a log in an SQLite database. Only this process may write the database; other processes may read it.
 *
 * @throws AppError `log_unusable` for a database from a newer version
 * @example
 * declare const sql: Sql // of an adapter for your database
 * const kept = new Hub(() => sqlLog(sql, { durability: 'disk', home: 'my database' }))
 */
export function sqlLog(sql: Sql, options: Partial<SqlLogOptions> & Pick<SqlLogOptions, 'durability' | 'home'>): Log {
  migrate(sql, options)
  return localLog(sqlTables(sql, options), { ...defaultLogOptions, ...options })
}

function sqlTables(sql: Sql, { tip }: Identity): Tables {
  const data = sql.cutsText ? 'CAST(data AS BLOB) AS data' : 'data'
  const one = (text: string, ...values: SqlValue[]) => sql.all(text, ...values)[0]
  /** The list that the last transaction has stored. If that failed, the next list is another one, and is stored again. */
  let storedMarks: readonly TimeMark[] | undefined
  let recent = RecentTopics.parse('[]')
  const store = (name: string, { count, bytes, trimmed, closed }: TopicRow) =>
    sql.all(
      `INSERT INTO topic (name, count, bytes, trimmed, closed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name)
       DO UPDATE SET count = excluded.count, bytes = excluded.bytes, trimmed = excluded.trimmed, closed = excluded.closed`,
      ...[name, count, bytes, trimmed, closed],
    )
  const storeRecent = () => {
    for (const { topic, ...row } of recent.take()) store(topic, row)
  }
  function* storedTrimmedAfter(seq: number, page: number) {
    for (let before = Number.MAX_SAFE_INTEGER; ; ) {
      const rows = sql.all(
        'SELECT name AS topic, trimmed FROM topic WHERE trimmed > 0 AND trimmed > ? AND trimmed < ? ORDER BY trimmed DESC LIMIT ?',
        ...[seq, before, page],
      ) as unknown as { topic: string; trimmed: number }[]
      yield* rows
      if (rows.length < page) return
      before = rows.at(-1)!.trimmed // a seq belongs to one topic, so no two rows have the same `trimmed`
    }
  }
  const tables: Tables = {
    transaction(run) {
      const before = recent
      recent = before.copy()
      try {
        sql.transaction(run)
      } catch (cause) {
        recent = before
        throw cause
      }
    },
    state() {
      const { topics, ...row } = one(
        'SELECT epoch, head, time, steps, count, bytes, keys, emptied, closedTopics, floor, commits, topics FROM state',
      )!
      recent = RecentTopics.parse(topics as string)
      const steps = JSON.parse(row.steps as string) as ClockStep[]
      const marks = JSON.parse(one('SELECT list FROM marks')!.list as string) as TimeMark[]
      return { ...(row as unknown as State), steps, marks }
    },
    setState: ({ head, time, steps, count, bytes, keys, emptied, closedTopics, marks, floor, commits }) => {
      if (recent.isFull) storeRecent()
      sql.all(
        'UPDATE state SET head = ?, time = ?, steps = ?, count = ?, bytes = ?, keys = ?, emptied = ?, closedTopics = ?, floor = ?, commits = ?, topics = ?',
        ...[head, time, JSON.stringify(steps), count, bytes, keys, emptied, closedTopics, floor, commits, recent.json],
      )
      if (marks === storedMarks) return
      sql.all('UPDATE marks SET list = ?', JSON.stringify(marks))
      storedMarks = marks
    },

    topic: (name) =>
      recent.get(name) ??
      (one('SELECT count, bytes, trimmed, closed FROM topic WHERE name = ?', name) as unknown as TopicRow | undefined),
    setTopic: (name, row) => recent.set(name, row),
    newestTrimmedFirst: true,
    trimmedAfter: (seq, page) => recent.trimmedAfter(seq, storedTrimmedAfter(seq, page)),
    topics: (prefix, after, limit) =>
      // Topics are ASCII, so every topic with this prefix sorts before the prefix followed by \u007f.
      recent.page(
        (asked) =>
          sql.all(
            `SELECT name AS topic, count, bytes, trimmed, closed FROM topic
             WHERE name > ? AND name >= ? AND name < ? AND (count > 0 OR closed > 0) ORDER BY name LIMIT ?`,
            ...[after, prefix, `${prefix}\u007f`, asked],
          ) as unknown as (TopicRow & { topic: string })[],
        (name) => name > after && name.startsWith(prefix),
        limit,
      ),
    forgetEmptied(count) {
      storeRecent()
      const gone = sql.all(
        'SELECT name, trimmed FROM topic WHERE count = 0 AND closed = 0 ORDER BY trimmed LIMIT ?',
        count,
      )
      for (const { name } of gone) sql.all('DELETE FROM topic WHERE name = ?', name as string)
      return (gone.at(-1)?.trimmed as number | undefined) ?? 0
    },

    oldestClosed(limit) {
      storeRecent()
      return sql.all(
        `SELECT name AS topic, count, bytes, trimmed, closed FROM topic
         WHERE count = 0 AND closed > 0 ORDER BY closed LIMIT ?`,
        limit,
      ) as unknown as (TopicRow & { topic: string })[]
    },
    forgetClosed: (topic) => {
      sql.all('DELETE FROM topic WHERE name = ?', topic)
    },

    insert: ({ seq, topic, time, event, retry, data, close, ...ended }, bytes) => {
      sql.all(
        'INSERT INTO entry (seq, topic, time, bytes, event, retry, data, close, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        ...[
          seq,
          topic,
          time,
          bytes,
          event ?? null,
          retry ?? null,
          data ?? null,
          close ? 1 : 0,
          outcomeText(ended) ?? null,
        ],
      )
    },
    remove: ({ seq }) => {
      sql.all('DELETE FROM entry WHERE seq = ?', seq)
    },
    blank: ({ seq, topic }) => {
      const { outcome } = tables.entry(seq)!
      sql.all(
        'UPDATE entry SET data = NULL, event = NULL, retry = NULL, outcome = ?, bytes = ? WHERE seq = ?',
        ...[outcome ?? null, topic.length, seq],
      )
    },
    entry(seq) {
      const row = one(`SELECT topic, time, event, retry, ${data}, close, outcome FROM entry WHERE seq = ?`, seq)
      return row && toEntry(seq, row)
    },
    // One statement for the whole page, because one for each entry costs three times as much.
    entries: (seqs) =>
      sql
        .all(
          `SELECT seq, topic, time, event, retry, ${data}, close, outcome FROM entry
           WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq`,
          JSON.stringify(seqs),
        )
        .map((row) => toEntry(row.seq as number, row)),
    rows(after, limit) {
      const rows = sql.all(
        'SELECT seq, topic, time, bytes FROM entry WHERE seq > ? ORDER BY seq LIMIT ?',
        after,
        limit,
      ) as unknown as EntryRow[]
      return { rows, to: rows.length < limit ? Number.POSITIVE_INFINITY : rows.at(-1)!.seq }
    },
    topicRows: (topic, after, limit) =>
      sql.all(
        'SELECT seq, topic, time, bytes FROM entry WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?',
        ...[topic, after, limit],
      ) as unknown as EntryRow[],
    rowsBefore: (before, limit) =>
      sql.all(
        'SELECT seq, topic, time, bytes FROM entry WHERE seq < ? ORDER BY seq DESC LIMIT ?',
        before,
        limit,
      ) as unknown as EntryRow[],
    topicRowsBefore: (topic, before, limit) =>
      sql.all(
        'SELECT seq, topic, time, bytes FROM entry WHERE topic = ? AND seq < ? ORDER BY seq DESC LIMIT ?',
        ...[topic, before, limit],
      ) as unknown as EntryRow[],
    newest: (topic) =>
      (one('SELECT max(seq) AS seq FROM entry WHERE topic = ?', topic)?.seq as number | undefined) ?? undefined,

    key: (topic, key) =>
      one('SELECT topic, key, hash, seq, time FROM key WHERE topic = ? AND key = ?', topic, key) as unknown as
        | KeyRow
        | undefined,
    setKey: ({ topic, key, hash, seq, time }) => {
      sql.all('INSERT INTO key (topic, key, hash, seq, time) VALUES (?, ?, ?, ?, ?)', topic, key, hash, seq, time)
    },
    oldestKeys: (limit) =>
      sql.all('SELECT topic, key, hash, seq, time FROM key ORDER BY seq LIMIT ?', limit) as unknown as KeyRow[],
    removeKey: ({ topic, key }) => {
      sql.all('DELETE FROM key WHERE topic = ? AND key = ?', topic, key)
    },
    ...runTables(sql),
    close: () => sql.close(),
  }
  if (sql.flush) tables.flush = () => sql.flush!()
  if (sql.scrub) tables.scrub = () => sql.scrub!()
  if (sql.verify) tables.verify = () => sql.verify!()
  if (sql.warnings) tables.warnings = () => sql.warnings!()
  if (tip) tables.acknowledge = (seq) => tip.advance(seq)
  return tables
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

function toEntry(seq: number, row: SqlRow): Entry {
  const { topic, time, data, event, retry, close, outcome } = row
  return {
    topic: topic as string,
    ...(data !== null && { data: data instanceof Uint8Array ? decoder.decode(data) : (data as string) }),
    ...(event !== null && { event: event as string }),
    ...(retry !== null && { retry: retry as number }),
    ...(close === 1 && { close: true as const }),
    ...(outcome !== null && parseOutcome(outcome as string)),
    seq,
    time: time as number,
  }
}
