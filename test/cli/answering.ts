import { once } from 'node:events'
import { createServer, Server as HttpServer, type RequestListener } from 'node:http'
import type { AddressInfo, Server } from 'node:net'

/** Serves HTTP on a free port. */
export async function answering(listener: RequestListener): Promise<{ url: string; close(): void }> {
  return listening(createServer(listener))
}

/** Lets a server listen on a free port. */
export async function listening(server: Server, protocol = 'http'): Promise<{ url: string; close(): void }> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = () => {
    server.close()
    if (server instanceof HttpServer) server.closeAllConnections()
  }
  return { url, close }
}
