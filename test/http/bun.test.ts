import { bun } from '../server/runtimes.ts'
import { cases } from './cases.ts'
import { servedSuite } from './served.ts'

servedSuite(bun, cases)
