import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { logSuite } from './suite.ts'

logSuite({
  name: 'sqlite',
  survives: true,
  place() {
    const folder = mkdtempSync(join(tmpdir(), 'tidings-'))
    return {
      open: (options) => openSqlite(join(folder, 'hub.db'), options),
      remove: () => rmSync(folder, { recursive: true }),
    }
  },
})
