import { freePort } from '../server/server.ts'

/** Ports that guides name. */
const NAMED = ['3000', '3001', '3002', '3003', '6379', '8080']

/** Free ports in the place of those that guides name. */
export class Ports {
  readonly #free: ReadonlyMap<string, number>

  private constructor(free: ReadonlyMap<string, number>) {
    this.#free = free
  }

  static async make(): Promise<Ports> {
    const free = new Map<string, number>()
    for (const port of NAMED) free.set(port, await freePort())
    return new Ports(free)
  }

  /** The text of a block with free ports. */
  replacedIn(text: string): string {
    return text.replace(new RegExp(`\\b(${NAMED.join('|')})\\b`, 'g'), (port) => `${this.#free.get(port)}`)
  }
}
