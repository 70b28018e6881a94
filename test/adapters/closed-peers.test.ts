import { connect, createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'vitest'
import { ClosedPeers } from '../../src/adapters/closed-peers.ts'
import { withoutProc } from '../server/server.ts'

/** Connects to a server that listens on `listenOn`. @returns both ends */
async function connection([listenOn, host]: [string, string]): Promise<{
  client: Socket
  accepted: Socket
  close(): void
}> {
  const { promise, resolve } = Promise.withResolvers<Socket>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, resolve)
  await new Promise<void>((listens) => server.listen(0, listenOn, listens))
  const client = connect((server.address() as { port: number }).port, host)
  const accepted = await promise
  const close = () => {
    for (const socket of [client, accepted]) socket.destroy()
    server.close()
  }
  return { client, accepted, close }
}

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
)

/** The name of each case, the address to listen on, and the address to connect to. */
const kinds: [string, string, string][] = [
  ['IPv4', '127.0.0.1', '127.0.0.1'],
  ['IPv4 over IPv6', '::', '127.0.0.1'],
  ['IPv6', '::1', '::1'],
]

// The tests wait for seconds, so they run at the same time.
test.skipIf(withoutProc).concurrent.for(hasIPv6 ? kinds : kinds.slice(0, 1))(
  `over %s, reports the close of a client once, although the bytes that the client sent are unread ${withoutProc}`,
  async ([, ...where], { expect, onTestFinished }) => {
    const peers = new ClosedPeers()
    const [leaving, staying] = [await connection(where), await connection(where)]
    onTestFinished(leaving.close)
    onTestFinished(staying.close)
    const closed: string[] = []
    const watch = ({ accepted }: { accepted: Socket }, name: string) =>
      peers.watch(accepted.remoteAddress!, accepted.remotePort!, () => void closed.push(name))
    const stopped = watch(leaving, 'not watched any more')
    const stopStaying = watch(staying, 'staying')
    watch(leaving, 'leaving')
    stopped()
    for (const { client } of [leaving, staying]) client.write('x'.repeat(1000))
    await pause(1200)
    expect(closed).toEqual([])
    leaving.client.destroy()
    await expect.poll(() => closed).toEqual(['leaving'])
    await pause(1200)
    expect(closed).toEqual(['leaving'])
    stopStaying()
  },
)
