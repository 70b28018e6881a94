import { bun } from '../server/runtimes.ts'
import { servedSuite } from './served.ts'

servedSuite(bun)
