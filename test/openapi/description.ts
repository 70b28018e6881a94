import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/index.ts'

/** Writes `/openapi.json` of a hub with these settings into a folder, and returns its path. */
export async function writeDescription(folder: string, settings: Record<string, string> = {}): Promise<string> {
  const path = join(folder, 'openapi.json')
  const hub = new Hub(memoryLog)
  const app = createApp({ hub, config: parseConfig(settings) })
  writeFileSync(path, await (await app.request('/openapi.json')).text())
  await hub.close()
  return path
}
