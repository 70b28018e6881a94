export type SqlValue = string | number | null
export type SqlRow = Record<string, SqlValue | Uint8Array>

/** The few calls of an SQLite database that the log makes; an adapter opens one. Statements are worth caching by their text. */
export interface Sql {
  exec(text: string): void
  all(text: string, ...values: SqlValue[]): SqlRow[]
  /**
   * Commits what `run` did, or undoes it when it throws; may not be nested.
   *
   * @throws AppError `log_unavailable` (another process has locked the database), `log_unusable`: nothing was done
   */
  transaction(run: () => void): void
  /** @throws AppError `log_unusable` if this is no longer the database that others find under its name */
  verify?(): void
  /** What an operator should mend, a sentence each. */
  warnings?(): readonly string[]
  /** This runtime gives a text up to its first NUL only: it is read as bytes (Deno 2.9). */
  readonly cutsText?: boolean
  /** Where a commit is not durable when `transaction` returns. */
  flush?(): Promise<void>
  /** Leaves nothing of deleted rows in the files, as far as readers of them allow. */
  scrub?(): void
  close(): void
}
