import { node } from '../server/runtimes.ts'
import { servedOverRedis } from './served.ts'

servedOverRedis(node)
