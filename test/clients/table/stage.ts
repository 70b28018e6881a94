import { type Server, start } from '../../server/server.ts'
import { Running } from './running.ts'
import { Tap } from './tap.ts'

/** A message, with a key if it may have to be published again. */
export interface Message {
  readonly data: string
  readonly event?: string
  readonly key?: string
  readonly close?: boolean
}

/** What one scene with one client needs: hubs, the client's program, taps. All of them end with the stage. */
export class Stage {
  /** The part of a told time that the client subtracts from it at random. */
  readonly jitter: number
  readonly #command: readonly string[]
  readonly #close: (() => unknown)[] = []

  /** @param command runs the client's program, with the URL as one more argument */
  constructor(command: readonly string[], jitter = 0) {
    this.#command = command
    this.jitter = jitter
  }

  /** Starts a hub whose streams end only if the scene wants it. */
  async hub(settings: Record<string, string> = {}): Promise<Server> {
    const hub = await start({ LIFETIME: '1h', RETRY: '500ms', WARM_UP: 'false', ...settings })
    this.#close.push(() => hub.kill('SIGKILL'))
    return hub
  }

  async tap(hub: Server): Promise<Tap> {
    const tap = await Tap.to(hub.port)
    this.#close.push(() => tap.close())
    return tap
  }

  run(url: string): Running {
    const program = new Running(this.#command, url)
    this.#close.push(() => program.stop())
    return program
  }

  async close(): Promise<void> {
    for (const close of this.#close.reverse()) await close()
  }
}

/** Publishes a message, and returns its id, or nothing if the hub refuses it. */
export async function publish({ url }: { readonly url: string }, message: Message): Promise<string | undefined> {
  const response = await fetch(`${url}/send?topic=any`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  })
  const { id } = (await response.json()) as { id?: string }
  return response.ok ? id : undefined
}
