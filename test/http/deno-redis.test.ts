import { deno } from '../server/runtimes.ts'
import { servedOverRedis } from './served.ts'

servedOverRedis(deno)
