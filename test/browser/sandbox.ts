import { once } from 'node:events'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server whose page has a frame without an origin, and the right to run scripts alone. */
export interface Sandbox {
  readonly url: string
  close(): void
}

/** The frame reads the hub at the origin of its page, and tells its page what it hears. */
const FRAME = `<!doctype html><script type="module">
  const tell = (told) => parent.postMessage(told, '*')
  const url = new URL('/', document.baseURI).href
  const { connect } = await import(url + 'client.js')
  connect({ url, shared: true }).subscribe('a', {
    onEvent: ({ data }) => tell(data),
    onState: ({ state }) => tell(state),
  })
</script>`

const PAGE = `<!doctype html><title>Sandbox</title><script>
  heard = []
  onmessage = ({ data }) => heard.push(data)
</script><iframe sandbox="allow-scripts" src="/frame"></iframe>`

/** Serves the page, and everything else from a hub, for all origins: those of such frames are `null`, which a hub does not allow. */
export async function sandbox(hub: string): Promise<Sandbox> {
  const server = createServer(({ url, headers: { accept = '*/*' } }, response) => {
    if (url === '/page' || url === '/frame')
      return response.setHeader('content-type', 'text/html').end(url === '/page' ? PAGE : FRAME)
    const asked = forward(hub + url, { headers: { accept } }, (answer) => {
      const type = answer.headers['content-type']!
      response.writeHead(answer.statusCode!, { 'content-type': type, 'access-control-allow-origin': '*' })
      answer.pipe(response)
    })
    asked.on('error', () => response.destroy())
    response.on('close', () => asked.destroy())
    asked.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
