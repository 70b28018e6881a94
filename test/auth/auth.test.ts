import { part } from '../part.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { over, withoutServer } from '../server/ways.ts'
import { authSuite } from './suite.ts'

for (const way of part([withoutServer(), over(node)], [bun, deno, worker].map(over))) authSuite(way)
