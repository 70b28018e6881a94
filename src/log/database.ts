export type SqlValue = string | number | null
export type SqlRow = Record<string, SqlValue | Uint8Array>

/**
 * The calls that the log makes to an SQLite database. An adapter opens the database, and should cache statements by their text.
 *
 * @example
 * declare const sql: Sql // of an adapter for your database
 * const kept = new Hub(() => sqlLog(sql, { durability: 'disk', home: 'my database' }))
 */
export interface Sql {
  exec(text: string): void
  all(text: string, ...values: SqlValue[]): SqlRow[]
  /**
   * Runs `run` and commits, or undoes everything if it throws. Must not be nested.
   *
   * @throws AppError `log_unavailable` (another process has locked the database), `log_unusable`: nothing was done
   */
  transaction(run: () => void): void
  /** @throws AppError `log_unusable` if the file was deleted or replaced while it is open */
  verify?(): void
  /** Warnings for the operator, as sentences. */
  warnings?(): readonly string[]
  /** Whether this runtime cuts a text off at its first NUL (Deno 2.9). The log then reads data as bytes. */
  readonly cutsText?: boolean
  /** Makes all commits so far durable. Missing where a commit is durable when `transaction` returns. */
  flush?(): Promise<void>
  /** Removes all traces of deleted rows from the files, as far as other processes that read them allow. */
  scrub?(): void
  close(): void
}
