import { deno } from '../server/runtimes.ts'
import { cases } from './cases.ts'
import { servedSuite } from './served.ts'

servedSuite(deno, cases)
