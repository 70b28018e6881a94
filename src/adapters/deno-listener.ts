import { AcceptFailures } from './accept-failures.ts'

/** The part of Deno's server that we use. */
interface DenoServer {
  readonly addr: { readonly port: number }
  /** Rejects if a connection cannot be accepted; the server then accepts no others. */
  readonly finished: Promise<void>
  /** Stops listening. Resolves when the requests that are being answered have ended. */
  shutdown(): Promise<void>
}

export interface DenoInfo {
  readonly remoteAddr: { readonly hostname: string; readonly port: number }
}

type Handler = (request: Request, info: DenoInfo) => Response | Promise<Response>

declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen(): void; onError(cause: unknown): Response },
    handler: Handler,
  ): DenoServer
}

/** Pause before an address is listened on again. */
const RETRY_MS = 100

/** Answers a request whose handler has thrown, and is told of a body that has failed. Bodies that are broken off fail without a cause. */
function onError(cause: unknown): Response {
  if (cause !== undefined) console.error(cause)
  return new Response('Internal Server Error', { status: 500 })
}

/**
 * Listens until `shutdown`. A server of Deno ends when it fails to accept a connection, as it does when the process has no file
 * descriptors left: any client can bring that about. Its open streams go on then, its idle connections are closed, and another server
 * listens at the same address as soon as there is room.
 */
export class DenoListener {
  readonly port: number
  readonly #hostname: string
  readonly #handler: Handler
  #server: DenoServer | undefined
  /** Shutdowns of servers that still answer requests. */
  readonly #ending = new Set<Promise<void>>()
  #retry: ReturnType<typeof setTimeout> | undefined
  readonly #failures = new AcceptFailures()

  /** @throws the system's error, if the address cannot be listened on */
  constructor(hostname: string, port: number, handler: Handler) {
    this.#hostname = hostname
    this.#handler = handler
    this.port = this.#listen(port)
  }

  /** Stops listening. Resolves when the requests that are being answered have ended. */
  async shutdown(): Promise<void> {
    clearTimeout(this.#retry)
    if (this.#server) this.#end(this.#server)
    this.#server = undefined
    await Promise.all(this.#ending)
  }

  #listen(port: number): number {
    const server = Deno.serve({ hostname: this.#hostname, port, onListen: () => {}, onError }, this.#handler)
    this.#server = server
    server.finished.catch((cause) => {
      if (this.#server !== server) return // it is being shut down
      this.#failures.report(cause)
      this.#end(server)
      this.#listenAgain()
    })
    return server.addr.port
  }

  #listenAgain(): void {
    this.#server = undefined
    this.#retry = setTimeout(() => {
      try {
        this.#listen(this.port)
      } catch (cause) {
        this.#failures.report(cause)
        this.#listenAgain()
      }
    }, RETRY_MS)
  }

  #end(server: DenoServer): void {
    const ending = server.shutdown().catch(() => {}) // its connections end with the process then
    this.#ending.add(ending)
    ending.then(() => this.#ending.delete(ending))
  }
}
