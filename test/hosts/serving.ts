/** A host with a server of `node:http`, as Express has it, which Bun and Deno bring too. Prints its port when it listens. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { handler } from '../../src/adapters/handler.ts'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'

const server = createServer(handler(createApp({ hub: new Hub(memoryLog), open: true })))
server.listen(0, '127.0.0.1', () => console.log(`Listens on ${(server.address() as AddressInfo).port}`))
