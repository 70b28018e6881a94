import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import { bun, deno, node, type Runtime } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'

const running = (runtime: Runtime): Runtime => ({
  name: runtime.name,
  command: (settings, args) => [
    ...runtime.command(settings, args).slice(0, -1),
    join(import.meta.dirname, 'serving.ts'),
  ],
  listens: /^Listens on (\d+)$/m,
})

afterEach(cleanUp)

test.for([node, bun, deno])(
  'handler() streams from a server of node:http on $name, and notices a reader that leaves',
  async (runtime) => {
    const host = await start({}, running(runtime))
    const leaving = new AbortController()
    const stream = await fetch(`${host.url}/event?topic=a`, { signal: leaving.signal })
    const reader = new Reader().follow(stream.body!)
    await expect.poll(() => reader.control('open').length).toBe(1)
    const headers = { 'content-type': 'text/plain' }
    for (const body of ['one', 'two', 'x'.repeat(50_000)])
      expect((await fetch(`${host.url}/send?topic=a`, { method: 'POST', body, headers })).status).toBe(200)
    await reader.gets('one', 'two', 'x'.repeat(50_000))
    expect(await host.readers()).toBe(1)
    leaving.abort()
    await expect.poll(() => host.readers()).toBe(0)
  },
)
