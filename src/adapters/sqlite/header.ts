import { Buffer } from 'node:buffer'
import { readSync } from 'node:fs'

/** The byte of a database file that says how it is written (https://sqlite.org/fileformat2.html, 1.3), and its value for a WAL. */
const WRITE_VERSION_AT = 18
const WAL = 2

/** Whether a file is a database with a WAL, as the hub makes them. Files that `VACUUM INTO` or `.dump` made are not, nor are empty ones. */
export function isWalDatabase(handle: number): boolean {
  const bytes = Buffer.alloc(1)
  readSync(handle, bytes, 0, 1, WRITE_VERSION_AT)
  return bytes[0] === WAL
}
