import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/**
 * Starts a proxy that serves a hub under a path, which it strips, as `location /live/ { proxy_pass http://hub/; }` of nginx does. It ends with
 * its test.
 *
 * @returns its URL with the path
 */
export async function proxyUnder(prefix: string, hub: string): Promise<string> {
  const proxy = createServer((incoming, outgoing) => {
    const { method, headers, url = '' } = incoming
    if (!url.startsWith(`${prefix}/`)) {
      outgoing.writeHead(404).end('nothing of the hub is here')
      return
    }
    const forwarded = request(hub + url.slice(prefix.length), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    outgoing.on('close', () => forwarded.destroy())
    incoming.pipe(forwarded)
  })
  onTestFinished(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return `http://localhost:${(proxy.address() as AddressInfo).port}${prefix}`
}
