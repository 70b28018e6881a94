// npm run api: writes the reports of the public face again.
import { rmSync } from 'node:fs'
import { cleanUp } from '../server/server.ts'
import { kept, writeReports } from './reports.ts'

rmSync(kept, { recursive: true, force: true })
try {
  if (!(await writeReports(kept))) {
    console.error('Cannot write the reports: the npm registry cannot be reached')
    process.exitCode = 1
  }
} finally {
  await cleanUp()
}
