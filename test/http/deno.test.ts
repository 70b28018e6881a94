import { deno } from '../server/runtimes.ts'
import { servedSuite } from './served.ts'

servedSuite(deno)
