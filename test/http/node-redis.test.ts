import { node } from '../server/runtimes.ts'
import { cases } from './cases.ts'
import { servedOverRedis } from './served.ts'

servedOverRedis(node, cases)
