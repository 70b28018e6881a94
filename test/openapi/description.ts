import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import app from '../../src/index.ts'

/** Writes `/openapi.json` into a folder, and returns its path. */
export async function writeDescription(folder: string): Promise<string> {
  const path = join(folder, 'openapi.json')
  writeFileSync(path, await (await app.request('/openapi.json')).text())
  return path
}
