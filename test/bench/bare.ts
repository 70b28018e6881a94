/** The yardstick of a publish: `@hono/node-server` with a handler that parses the body and answers. Prints its port when it listens. */
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'

let seq = 0

const answer = async (request: Request) => {
  const { data } = (await request.json()) as { data: string }
  return Response.json({ id: `bare-${++seq}`, topic: 'bench', length: data.length })
}

const server = serve({ fetch: answer, hostname: '127.0.0.1', port: 0 }, () =>
  console.log(`bare listens on ${(server.address() as AddressInfo).port}`),
)
