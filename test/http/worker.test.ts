import { worker } from '../server/runtimes.ts'
import { servedSuite } from './served.ts'

servedSuite(worker)
