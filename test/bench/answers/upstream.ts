/*
 * A producer of upstream `resumable-stream`, to be killed: `node upstream.ts <port of Redis> <id> <ms between tokens>`. Prints a line for
 * each token. Ends when its standard input ends.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { upstreamContext } from './context.ts'

const [port, id, everyMs] = process.argv.slice(2)
process.stdin.resume().on('end', () => process.exit(3))
const { context } = await upstreamContext(Number(port))
let n = 0
const pull = async (controller: ReadableStreamDefaultController<string>) => {
  controller.enqueue(`${n}\n`)
  process.stdout.write(`${n++}\n`)
  await pause(Number(everyMs))
}
await context.createNewResumableStream(id!, () => new ReadableStream<string>({ pull }))
