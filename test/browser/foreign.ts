import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A foreign server, with an empty page and, at `/away?<url>`, a redirect. */
export interface Foreign {
  /** Cookies ignore ports: under this name the server is of the same site as a hub at `localhost`. */
  readonly sameSite: string
  readonly otherSite: string
  close(): void
}

export async function foreign(): Promise<Foreign> {
  const server = createServer(({ url }, response) => {
    const [path, to] = url!.split('?')
    if (path === '/away' && to !== undefined) response.writeHead(302, { location: decodeURIComponent(to) }).end()
    else response.setHeader('content-type', 'text/html').end('<!doctype html><title>Foreign</title><p>hello')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    sameSite: `http://localhost:${port}`,
    otherSite: `http://127.0.0.1:${port}`,
    close: () => server.close(),
  }
}
