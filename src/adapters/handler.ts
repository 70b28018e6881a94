import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { getRequestListener } from '@hono/node-server'
import { withSlash } from '../prefix.ts'
import { type Connection, type ConnectionEnv, envOf } from '../routes/connection.ts'
import { answerOver, NativeConnection, NodeConnection } from './node-connection.ts'
import { bodyOf } from './parsed-body.ts'

/** What answers requests: the app of `createApp`, or an app of Hono in which it is mounted. */
export interface Fetchable {
  fetch(request: Request, env: ConnectionEnv & NodeEnv): Response | Promise<Response>
}

/**
 * The `c.env` of a request that `handler` serves: Node's request and response, with all that the host's middleware has added to them.
 *
 * @example
 * import type { NodeEnv } from 'tidings/node'
 * const live = createApp({ hub, addressOf: (c) => (c.env as NodeEnv).incoming.socket.remoteAddress })
 */
export interface NodeEnv {
  readonly incoming: IncomingMessage | Http2ServerRequest
  readonly outgoing: ServerResponse | Http2ServerResponse
}

/** Handles a request of Node's HTTP servers. */
export type Listener = (
  incoming: IncomingMessage | Http2ServerRequest,
  outgoing: ServerResponse | Http2ServerResponse,
) => Promise<void>

/** What frameworks add to a request whose path they have cut. */
interface Mounted {
  /** The path that Express has cut off `url`. */
  readonly baseUrl?: unknown
  /** The URL as the client has sent it. */
  readonly originalUrl?: unknown
}

type Incoming = (IncomingMessage | Http2ServerRequest) & Mounted

/**
 * Serves an app from Node's own servers, and from frameworks that hand out their requests and responses: Express, Fastify, Koa, NestJS.
 * Streams go to the socket as those of `npm start` do, and end when their client leaves. A body that the framework has read already is
 * taken from `rawBody` or `body` of the request. Under `app.use('/live', …)` of Express, the app works at that path. `grantOf` finds the
 * framework's request, with the session that it has added, at `c.env.incoming`.
 *
 * @example
 * import { createServer } from 'node:http'
 * import { handler } from 'tidings/node'
 * createServer(handler(createApp({ hub, open: true }))).listen(3000)
 */
export function handler(app: Fetchable): Listener {
  const listener = getRequestListener(
    (request, { incoming, outgoing }) => {
      const node: NodeEnv = { incoming, outgoing }
      if (!(outgoing instanceof ServerResponse))
        return app.fetch(request, { ...node, ...envOf(http2Connection(outgoing)) })
      const connection = connectionOf(incoming as IncomingMessage, outgoing)
      return answerOver(connection, outgoing, (env) => app.fetch(request, { ...node, ...env }))
    },
    { overrideGlobalObjects: false }, // the globals are the host's
  )
  return (incoming, outgoing) => {
    const page = pageOf(incoming)
    if (page === undefined || !(outgoing instanceof ServerResponse)) return listener(incoming, outgoing)
    outgoing.writeHead(308, { Location: page })
    outgoing.end()
    return Promise.resolve()
  }
}

/** Whether what is written to the socket of a response reaches the client: not on Bun, whose `node:http` writes responses elsewhere. */
const hasSockets = !('Bun' in globalThis)

/** A middleware that replaces `write`, such as one that compresses, sees all that a response writes: its streams go through the response. */
function connectionOf(incoming: IncomingMessage, outgoing: ServerResponse): NodeConnection {
  const isNative = hasSockets && outgoing.write === ServerResponse.prototype.write
  const connection = isNative ? new NativeConnection(incoming) : new NodeConnection(incoming)
  connection.basePath = baseOf(incoming)
  const body = bodyOf(incoming)
  if (body) {
    connection.bufferedBody = body
    connection.body = () => once(body())
  }
  return connection
}

/** Streams of HTTP/2 share one socket, so a reader that does not read loses its stream alone. */
function http2Connection({ req, stream }: Http2ServerResponse): Connection {
  return { address: req.socket.remoteAddress, destroy: () => stream.destroy() }
}

function baseOf({ baseUrl }: Incoming): string | undefined {
  return typeof baseUrl === 'string' && baseUrl !== '' ? baseUrl : undefined
}

/** The URL of the page, if a request names the mounted app without the slash at its end: the page's own URLs are relative to that slash. */
function pageOf(incoming: Incoming): string | undefined {
  const { method, originalUrl } = incoming
  const base = baseOf(incoming)
  if (base === undefined || typeof originalUrl !== 'string' || (method !== 'GET' && method !== 'HEAD')) return
  return originalUrl.split('?', 1)[0] === base ? withSlash(base) : undefined
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
