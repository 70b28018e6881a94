import { closeSync, fsyncSync, openSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { syncFolder } from '../adapters/sqlite/tip.ts'

/** Gives a finished file its name, so that the file and the name survive a power cut. */
export function publishFile(from: string, to: string): void {
  const handle = openSync(from, 'r+')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(from, to)
  syncFolder(dirname(to))
}
