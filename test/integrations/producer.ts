// Produces a stream that never ends, and prints each chunk once it was published and read: node producer.ts INTEGRATION PLACE ID LEASE GRACE
import { setTimeout } from 'node:timers/promises'
import * as assistant from 'assistant-stream/resumable'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { Hub } from '../../src/hub/hub.ts'
import { createAssistantStreamStore } from '../../src/integrations/assistant-stream.ts'
import { createResumableStreamContext } from '../../src/integrations/resumable-stream.ts'
import { runs } from '../../src/runs/near.ts'
import { remoteRuns } from '../../src/runs/remote.ts'

const [integration, place, id, lease, grace] = process.argv.slice(2) as [string, string, string, string, string]
const options = {
  runs: place.startsWith('http') ? remoteRuns({ url: place }) : runs(new Hub(() => openSqlite(place))),
  leaseMs: Number(lease),
  graceMs: Number(grace),
}

let tokens = 0
const model = () =>
  new ReadableStream<string>({
    async pull(controller) {
      await setTimeout(5)
      controller.enqueue(`token ${tokens++}\n`)
    },
  })

async function stream(): Promise<ReadableStream<string>> {
  if (integration === 'resumable-stream')
    return (await createResumableStreamContext({ ...options, waitUntil: null }).resumableStream(id, model))!
  const context = assistant.createResumableStreamContext({ store: createAssistantStreamStore(options) })
  const bytes = await context.run(id, () => model().pipeThrough(new TextEncoderStream()))
  return bytes.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
}

for await (const chunk of await stream()) process.stdout.write(chunk)
