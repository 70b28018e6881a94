import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Acknowledged, Tip } from '../../log/identity.ts'

/** `<epoch> <seq>`, the seq with leading zeros, so that it is overwritten in place: one short write that crosses no block. */
const FORMAT = /^([a-z0-9]{10}) (\d{16})\n$/
const SEQ_AT = 11
const SEQ_LENGTH = 16

const encoder = new TextEncoder()

/** The tip in a file beside the database; see `Tip`. Its descriptor stays open until `close`. */
export function tipFile(path: string): Tip & { close(): void } {
  let handle: number | undefined
  let written = -1

  function read(): Acknowledged | undefined {
    try {
      const [, epoch, seq] = FORMAT.exec(readFileSync(path, 'latin1'))!
      return { epoch: epoch!, seq: Number(seq) }
    } catch {
      return // No such file, or not our format: then nothing vouches for the database.
    }
  }

  function close(): void {
    if (handle !== undefined) closeSync(handle)
    handle = undefined
  }

  return {
    read,
    reset({ epoch, seq }) {
      close()
      const fresh = `${path}-new`
      const file = openSync(fresh, 'w')
      try {
        writeSync(file, `${epoch} ${digits(seq)}\n`)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      renameSync(fresh, path)
      syncFolder(dirname(path))
      written = seq
    },
    advance(seq) {
      if (seq === written) return
      handle ??= openSync(path, 'r+')
      // Bytes, because Deno 2.9 writes a string at the beginning, whatever the position.
      writeSync(handle, encoder.encode(digits(seq)), 0, SEQ_LENGTH, SEQ_AT)
      written = seq
    },
    close,
  }
}

function digits(seq: number): string {
  return String(seq).padStart(SEQ_LENGTH, '0')
}

/** Makes new names in a folder durable (fsync(2)); SQLite does so for its journals, not for our files. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
