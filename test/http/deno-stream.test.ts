import { portable } from '../server/runtimes.ts'
import { servedSuite } from './served.ts'

servedSuite(portable.deno)
