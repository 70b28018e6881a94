import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, folder, freePort, type Server, start } from '../server/server.ts'

afterEach(cleanUp)

interface Polled {
  readonly events: { readonly data: string }[]
  readonly position: string
}

describe.each(part([node], [bun, deno, worker]))('a hub on $name', (runtime) => {
  test('publishes a streamed body once, completely and in order, when kill -9 cuts it and it is sent again with its key', {
    timeout: runs(270_000, 300_000),
  }, async () => {
    const kills = runtime === worker ? runs(1, 3) : runs(3, 10)
    const count = 5000
    const numbers = random(7)
    const env = { PORT: `${await freePort()}`, LOG: `sqlite:${join(folder(), 'hub.db')}` }
    let server = await start(env, runtime)
    for (let i = 0; i < kills; i++) {
      const cutAt = numbers.whole(100, count - 100)
      const sent = send(server, count, cutAt).catch(() => undefined)
      await expect.poll(() => keptOf(server), { interval: 5, timeout: 10_000 }).toBeGreaterThanOrEqual(cutAt / 2)
      await server.kill('SIGKILL')
      await sent
      server = await start(env, runtime)
    }
    const before = await keptOf(server)
    const answer = await send(server, count)
    expect(answer).toMatchObject({ taken: count, duplicates: before })
    expect(await readAll(server)).toEqual(Array.from({ length: count }, (_, i) => `${i}`))
    console.log(
      `${runtime.name}, kill -9 × ${kills}: ${before} of ${count} items were published before the last try, none twice`,
    )
  })
})

/** Sends `count` lines, and pauses once `pauseAt` lines were sent, so that the body can be cut there. */
async function send({ url }: Server, count: number, pauseAt = Number.POSITIVE_INFINITY): Promise<unknown> {
  let next = 0
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (next >= pauseAt) await pause(5000)
      const lines = Array.from({ length: Math.min(20, count - next) }, () => `{"data":"${next++}"}\n`)
      if (lines.length > 0) controller.enqueue(new TextEncoder().encode(lines.join('')))
      else controller.close()
      await pause(0)
    },
  })
  const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': 'K' }
  const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, headers, duplex: 'half' }
  return (await fetch(`${url}/send?topic=cut`, init)).json()
}

async function keptOf({ url }: Server): Promise<number> {
  return ((await (await fetch(`${url}/topics/cut`)).json()) as { kept: number }).kept
}

async function readAll({ url }: Server): Promise<string[]> {
  const data: string[] = []
  for (let query = 'from=earliest'; ; ) {
    const response = await fetch(`${url}/event?topic=cut&${query}`, { headers: { accept: 'application/json' } })
    const { events, position } = (await response.json()) as Polled
    if (events.length === 0) return data
    data.push(...events.map((event) => event.data))
    query = `lastEventId=${position}`
  }
}
