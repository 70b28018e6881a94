import type { Sql, SqlRow } from './database.ts'
import type { RunRow, Tables } from './tables.ts'

const COLUMNS = 'topic, fence, token, key, leaseMs, graceMs, leaseEnd, stop, outcome, detail'

type RunTables = Pick<Tables, 'run' | 'setRun' | 'removeRun' | 'activeRuns' | 'runs' | 'stopCount' | 'oldestStops'>

/** The table of runs in SQL. */
export function runTables(sql: Sql): RunTables {
  const select = (where: string, ...values: (string | number)[]) =>
    sql.all(`SELECT ${COLUMNS} FROM run WHERE ${where}`, ...values).map(toRow)
  return {
    run: (topic) => select('topic = ?', topic)[0],
    setRun: ({ topic, fence, token, key, leaseMs, graceMs, leaseEnd, stop, outcome, detail }) => {
      sql.all(
        `INSERT OR REPLACE INTO run (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ...[topic, fence, token, key ?? null, leaseMs, graceMs, leaseEnd, stop, outcome ?? null, detail ?? null],
      )
    },
    removeRun: (topic) => {
      sql.all('DELETE FROM run WHERE topic = ?', topic)
    },
    activeRuns: () => select('fence > 0 AND outcome IS NULL'),
    runs: (prefix, after, limit) =>
      // Topics are ASCII, so every topic with this prefix sorts before the prefix followed by \u007f.
      select(
        'topic > ? AND topic >= ? AND topic < ? AND fence > 0 ORDER BY topic LIMIT ?',
        ...[after, prefix, `${prefix}\u007f`, limit],
      ),
    stopCount: () => sql.all('SELECT count(*) AS count FROM run WHERE fence = 0')[0]!.count as number,
    oldestStops: (limit) => select('fence = 0 ORDER BY stop LIMIT ?', limit),
  }
}

function toRow({ key, outcome, detail, ...row }: SqlRow): RunRow {
  return {
    ...row,
    ...(key !== null && { key }),
    ...(outcome !== null && { outcome }),
    ...(detail !== null && { detail }),
  } as unknown as RunRow
}
