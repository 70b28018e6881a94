import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A connection between a client and a server of this machine that can be cut: then nothing passes, and neither end notices. */
export interface Wire {
  readonly port: number
  cut(): void
  mend(): void
  close(): void
}

/** @param delayOf the delay, in ms, of what the server sends on the nth connection, counted from 0 */
export async function wireTo(to: number, delayOf: (nth: number) => number = () => 0): Promise<Wire> {
  const ends = new Set<Socket>()
  let isCut = false
  let connections = 0
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    const delayMs = delayOf(connections++)
    for (const [from, other] of [
      [near, far],
      [far, near],
    ] as const) {
      ends.add(from)
      if (from === far && delayMs > 0) from.on('data', (bytes) => setTimeout(() => other.write(bytes), delayMs))
      else from.on('data', (bytes) => other.write(bytes))
      from.on('error', () => {}) // `close` follows
      from.on('close', () => {
        ends.delete(from)
        other.destroy()
      })
      if (isCut) from.pause()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true
      for (const end of ends) end.pause()
    },
    mend() {
      isCut = false
      for (const end of ends) end.resume()
    },
    close() {
      server.close()
      for (const end of ends) end.destroy()
    },
  }
}
