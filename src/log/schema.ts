import { AppError } from '../errors.ts'
import type { Sql } from './database.ts'
import { type Identity, isSameLog, type Known } from './identity.ts'
import { newEpoch } from './log.ts'

/**
 * The schema as a list of steps. The version of a database is the number of steps that were run on it. Never edit a released step: add
 * another one. Tables are STRICT. No step uses a PRAGMA or a sqlite_* function, because Durable Objects refuse them.
 */
export const steps: readonly string[] = [
  `CREATE TABLE state (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     epoch TEXT NOT NULL, home TEXT NOT NULL,
     head INTEGER NOT NULL DEFAULT 0, time INTEGER NOT NULL DEFAULT 0,
     count INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, keys INTEGER NOT NULL DEFAULT 0,
     emptied INTEGER NOT NULL DEFAULT 0, floor INTEGER NOT NULL DEFAULT 0, commits INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE TABLE entry (
     seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, time INTEGER NOT NULL, bytes INTEGER NOT NULL,
     close INTEGER NOT NULL, event TEXT, retry INTEGER, data TEXT
   ) STRICT;
   CREATE INDEX entry_of_topic ON entry (topic, seq, time, bytes);
   CREATE TABLE topic (
     name TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
     trimmed INTEGER NOT NULL, closed INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX topic_trimmed ON topic (trimmed) WHERE trimmed > 0;
   CREATE INDEX topic_emptied ON topic (trimmed) WHERE count = 0 AND closed = 0;
   CREATE TABLE key (
     topic TEXT NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL,
     PRIMARY KEY (topic, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX key_oldest ON key (seq)`,
  // So that a list of topics need not skip up to a million topics without entries.
  'CREATE INDEX topic_shown ON topic (name) WHERE count > 0 OR closed > 0',
  // `steps` are the steps of the clock, as JSON; `renewed` is the last NEW_EPOCH. The upgrade counts `emptied`
  // anew: earlier releases could leave it too low.
  `ALTER TABLE state ADD COLUMN steps TEXT NOT NULL DEFAULT '[]';
   ALTER TABLE state ADD COLUMN renewed TEXT;
   UPDATE state SET emptied = (SELECT count(*) FROM topic WHERE count = 0 AND closed = 0)`,
  // For forgetting closed topics without entries. `marks` are the heads at past times, as JSON: 4 KB that few commits write, and so not
  // in the row that every commit writes.
  `CREATE INDEX topic_only_closed ON topic (closed) WHERE count = 0 AND closed > 0;
   CREATE TABLE marks (one INTEGER PRIMARY KEY CHECK (one = 1), list TEXT NOT NULL) STRICT;
   INSERT INTO marks (one, list) VALUES (1, '[]');
   ALTER TABLE state ADD COLUMN closedTopics INTEGER NOT NULL DEFAULT 0;
   UPDATE state SET closedTopics = (SELECT count(*) FROM topic WHERE count = 0 AND closed > 0)`,
  // The rows of the topics that changed last: see `RecentTopics`.
  `ALTER TABLE state ADD COLUMN topics TEXT NOT NULL DEFAULT '[]'`,
  // Runs, see `RunRow`. The outcome of an entry has the detail after a line end.
  `CREATE TABLE run (
     topic TEXT PRIMARY KEY, fence INTEGER NOT NULL, token TEXT NOT NULL, key TEXT, leaseMs INTEGER NOT NULL,
     graceMs INTEGER NOT NULL, leaseEnd INTEGER NOT NULL, stop INTEGER NOT NULL, outcome TEXT, detail TEXT
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX run_active ON run (topic) WHERE fence > 0 AND outcome IS NULL;
   CREATE INDEX run_stop ON run (stop) WHERE fence = 0;
   ALTER TABLE entry ADD COLUMN outcome TEXT`,
]

/** The first version whose files have a tip beside them. */
const FIRST_WITH_TIP = 3

/**
 * Brings a database to the newest version: all steps or none. Gives the database another epoch if it is not the log that clients know, for
 * example a copy or an older state: its history is the same, but later entries differ.
 *
 * @throws AppError `log_unusable` for a file from a newer version
 */
export function migrate(sql: Sql, identity: Identity, wanted: readonly string[] = steps): void {
  sql.transaction(() => {
    sql.exec('CREATE TABLE IF NOT EXISTS version (steps INTEGER NOT NULL) STRICT')
    const taken = Number(sql.all('SELECT steps FROM version')[0]?.steps ?? 0)
    if (taken > wanted.length)
      throw new AppError(
        'log_unusable',
        `Cannot use the log: its schema version is ${taken}, this release knows ${wanted.length}; use a newer release`,
      )
    for (const step of wanted.slice(taken)) for (const statement of step.split(';')) sql.exec(statement)
    if (taken < wanted.length) {
      sql.exec('DELETE FROM version')
      sql.all('INSERT INTO version VALUES (?)', wanted.length)
    }
    identify(sql, identity, taken >= FIRST_WITH_TIP)
  })
}

/** Writes the tip before the database. A crash between the two leaves a mismatch, which begins another epoch at the next start. */
function identify(sql: Sql, identity: Identity, hasTip: boolean): void {
  const known = sql.all('SELECT epoch, home, head, renewed FROM state')[0] as unknown as Known | undefined
  const isSame = known !== undefined && isSameLog(known, identity, hasTip)
  const epoch = isSame ? known.epoch : newEpoch()
  const seq = known?.head ?? 0
  const { home, tip, newEpoch: renewed = known?.renewed ?? null } = identity
  if (isSame && tip?.read()) tip.advance(seq)
  else tip?.reset({ epoch, seq })
  if (!known) sql.all('INSERT INTO state (one, epoch, home, renewed) VALUES (1, ?, ?, ?)', epoch, home, renewed)
  else if (!isSame || known.home !== home)
    sql.all('UPDATE state SET epoch = ?, home = ?, renewed = ?, commits = commits + 1', epoch, home, renewed)
}
