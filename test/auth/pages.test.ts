import { envOf } from '../../src/routes/connection.ts'
import { part } from '../part.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { over, withoutServer } from '../server/ways.ts'
import { corsSuite } from './cors.suite.ts'

const inProcess = withoutServer(envOf({ address: '127.0.0.1' }))

for (const way of part([inProcess, over(node)], [bun, deno, worker].map(over))) corsSuite(way)
