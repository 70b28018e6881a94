import { node } from '../server/runtimes.ts'
import { servedSuite } from './served.ts'

servedSuite(node)
