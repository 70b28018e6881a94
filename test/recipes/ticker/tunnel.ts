import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from '../../server/server.ts'

/** The way to a server, on which all connections are lost while it is dark. */
export class Tunnel {
  readonly port: number
  isDark = false
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(port: number, target: number) {
    this.port = port
    this.#server = createServer((client) => {
      if (this.isDark) return void client.destroy()
      const hub = connect(target, 'localhost')
      for (const [socket, other] of [
        [client, hub],
        [hub, client],
      ] as const)
        this.#sockets.add(socket.on('error', () => {}).on('close', () => other.destroy()))
      client.pipe(hub).pipe(client)
    }).listen(port, 'localhost')
  }

  static async to(target: number): Promise<Tunnel> {
    return new Tunnel(await freePort(), target)
  }

  darken(): void {
    this.isDark = true
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  close(): void {
    this.darken()
    this.#server.close()
  }
}
