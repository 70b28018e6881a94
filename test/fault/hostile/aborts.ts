import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Poster } from '../../bench/post.ts'
import { random } from '../../server/random.ts'
import { request } from '../../server/stream.ts'
import { attacks } from './answers.ts'

/** The most visits a second: the test measures what one of them costs, not how many fill a processor. */
const RATE = 250
const AT_ONCE = 10
/** How long a visitor waits for the byte at which it leaves. */
const PATIENCE_MS = 30

const port = Number(process.argv[2])
const numbers = random(13)

const questions = [
  'topic=history',
  'topic=history&from=earliest',
  'topic=history&last=10',
  'topic=*&last=10',
  'topic=*',
  'topic=**&from=earliest',
  'topic=a&topic=b/*&topic=history&latest=true&from=earliest',
  'topic=history&lastEventId=nowhere',
  'topic=history&repeat=1000',
]

/** A request, and the byte of it or of its answer at which the sender leaves. */
function visit(): { sent: string; going: number } {
  const isPoll = numbers() < 0.3
  const get = request('GET', `/event?${numbers.pick(questions)}${isPoll ? '&wait=30' : ''}`)
  const whole = isPoll ? get.replace('Accept: text/event-stream', 'Accept: application/json') : get
  if (numbers() < 0.2) return { sent: whole.slice(0, numbers.whole(1, whole.length - 1)), going: 0 }
  return { sent: whole, going: numbers() < 0.3 ? numbers.whole(0, 400) : numbers.whole(0, 20_000) }
}

const calls = {
  /** Publishes some history to read. */
  async prepare() {
    const poster = new Poster(`http://127.0.0.1:${port}/send?topic=history`, 1)
    await poster.post(JSON.stringify(Array.from({ length: 200 }, () => ({ data: 'x'.repeat(200) }))))
    poster.close()
  },
  /** Opens connections that ask for a stream and leave at some byte. */
  async come(count: number) {
    const began = performance.now()
    let next = 0
    const visitor = async () => {
      for (let i = next++; i < count; i = next++) {
        await pause(Math.max(0, began + (i * 1000) / RATE - performance.now()))
        await comeAndGo()
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, visitor))
  },
}

async function comeAndGo(): Promise<void> {
  const { sent, going } = visit()
  const socket = connect(port, '127.0.0.1')
  let came = 0
  await new Promise<void>((resolve) => {
    socket.on('error', () => resolve())
    socket.on('close', () => resolve())
    socket.write(sent, () => {
      if (going === 0) resolve()
    })
    socket.on('data', (bytes) => {
      came += (bytes as Buffer).byteLength
      if (came >= going) resolve()
    })
    pause(PATIENCE_MS, undefined, { ref: false }).then(resolve)
  })
  socket.destroy()
}

export type Aborts = typeof calls

attacks(calls)
