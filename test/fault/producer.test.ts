import { join } from 'node:path'
import * as assistant from 'assistant-stream/resumable'
import { afterAll, describe, expect, test } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { Hub } from '../../src/hub/hub.ts'
import { createAssistantStreamStore } from '../../src/integrations/assistant-stream.ts'
import { createResumableStreamContext } from '../../src/integrations/resumable-stream.ts'
import { runs as runsOf } from '../../src/runs/near.ts'
import { remoteRuns } from '../../src/runs/remote.ts'
import type { Runs } from '../../src/runs/run.ts'
import { readUntilEnd } from '../integrations/read.ts'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import type { Runtime } from '../server/runtimes.ts'
import { cleanUp, folder, launch, start } from '../server/server.ts'

const chance = random()
const LEASE_MS = 1000
const GRACE_MS = 1000
/** How late the processes and readers of a busy machine may be themselves. */
const BUSY_MS = 2000
/** A run ends this long after the last sign of life of its producer, and its readers are told. */
const END_MS = LEASE_MS + GRACE_MS + 1000 + BUSY_MS

const producer: Runtime = {
  name: 'a producer',
  command: (_, args) => [process.execPath, join(import.meta.dirname, '..', 'integrations', 'producer.ts'), ...args],
  listens: /^token/,
}

/** How each integration resumes a stream, and begins it anew. */
const integrations = {
  'resumable-stream': {
    resume: (all: Runs, id: string) =>
      createResumableStreamContext({ runs: all, waitUntil: null }).resumeExistingStream(id),
    begin: (all: Runs, id: string, source: ReadableStream<string>) =>
      createResumableStreamContext({ runs: all, waitUntil: null }).createNewResumableStream(id, () => source),
  },
  'assistant-stream': {
    resume: async (all: Runs, id: string) => decoded(await contextOf(all).resume(id)),
    async begin(all: Runs, id: string, source: ReadableStream<string>) {
      await contextOf(all).delete(id)
      return decoded(await contextOf(all).run(id, () => source.pipeThrough(new TextEncoderStream())))
    },
  },
} as const

const contextOf = (all: Runs) =>
  assistant.createResumableStreamContext({ store: createAssistantStreamStore({ runs: all }) })
const decoded = (stream: ReadableStream<Uint8Array> | null) =>
  stream!.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)

/** What a reader of a killed producer has to see: tokens in order, at least those that were printed, and an error. */
function expectCut({ seen, error }: { seen: string; error?: unknown }, printed: number): void {
  const tokens = seen.split('\n').slice(0, -1)
  expect(tokens).toEqual(tokens.map((_, i) => `token ${i}`))
  expect(tokens.length).toBeGreaterThan(printed)
  expect(String(error)).toMatch(/no sign of life/)
}

afterAll(cleanUp)

describe.concurrent.each(Object.entries(integrations))(
  'a producer of %s that is killed',
  (integration, { resume, begin }) => {
    test('is an error after its last chunk for readers of a hub elsewhere, within its lease, grace and a second', async () => {
      const server = await start({ LOG: `sqlite:${folder()}/hub.db`, OPEN: 'true' })
      const all = remoteRuns({ url: server.url })
      for (let i = 0; i < runs(1, 30); i++) {
        const id = `stream-${i}`
        const last = chance.whole(0, 50)
        const child = launch({}, [integration, server.url, id, `${LEASE_MS}`, `${GRACE_MS}`], producer)
        await child.says(/token 0\n/)
        const reading = readUntilEnd(await resume(all, id))
        await child.says(new RegExp(`token ${last}\n`))
        await child.kill('SIGKILL')
        const killed = performance.now()
        const first = await reading
        expect(performance.now() - killed).toBeLessThan(END_MS)
        expectCut(first, last)
        expect((await readUntilEnd(await resume(all, id))).seen).toBe(first.seen)
        const again = await begin(all, id, given('new'))
        expect(await readUntilEnd(again)).toEqual({ seen: 'new' })
      }
    })

    test('is an error after its last chunk when it was the process of the hub, once that is up again', async () => {
      for (let i = 0; i < runs(1, 30); i++) {
        const file = join(folder(), 'hub.db')
        const last = chance.whole(0, 50)
        const child = launch({}, [integration, file, 'a', `${LEASE_MS}`, `${GRACE_MS}`], producer)
        await child.says(new RegExp(`token ${last}\n`))
        await child.kill('SIGKILL')
        const hub = new Hub(() => openSqlite(file))
        const all = runsOf(hub)
        const opened = performance.now()
        const cut = await readUntilEnd(await resume(all, 'a'))
        expect(performance.now() - opened).toBeLessThan(END_MS)
        expectCut(cut, last)
        expect(await readUntilEnd(await begin(all, 'a', given('new')))).toEqual({ seen: 'new' })
        await hub.close()
      }
    })
  },
)

function given(text: string): ReadableStream<string> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(text)
      controller.close()
    },
  })
}
