import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { resumeSuite } from './resume.suite.ts'

const folder = mkdtempSync(join(tmpdir(), 'tidings-'))
let files = 0
afterAll(() => rmSync(folder, { recursive: true }))

resumeSuite('memory', memoryLog)
resumeSuite('sqlite', (options) => openSqlite(join(folder, `${files++}.db`), options))
