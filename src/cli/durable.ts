import { renameSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../adapters/sqlite/tip.ts'

/** Writes a finished file to the disk, so that it survives a power cut. Meanwhile signals are heard. */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Gives a file that is on the disk its name, so that the name survives a power cut too. */
export function publishFile(from: string, to: string): void {
  renameSync(from, to)
  syncFolder(dirname(to))
}
