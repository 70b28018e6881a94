import { bun } from '../server/runtimes.ts'
import { servedOverRedis } from './served.ts'

servedOverRedis(bun)
