export type SqlValue = string | number | null
export type SqlRow = Record<string, SqlValue | Uint8Array>

/** The calls of an SQLite database that the log makes. An adapter opens one, and should cache statements by their text. */
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
  /** Warnings to the operator: sentences. */
  warnings?(): readonly string[]
  /** This runtime ends a text at its first NUL (Deno 2.9): text is read as bytes. */
  readonly cutsText?: boolean
  /** Makes commits durable, where they are not when `transaction` returns. */
  flush?(): Promise<void>
  /** Removes all traces of deleted rows from the files, as far as other readers allow. */
  scrub?(): void
  close(): void
}
