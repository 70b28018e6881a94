import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { attacks } from './answers.ts'

const RATE = 5000
/** Lines that are written at once. */
const LINES = 100

const url = `http://127.0.0.1:${process.argv[2]}/send`
let next = 0

const calls = {
  /** Publishes to this many new topics. */
  async explode(count: number) {
    for (const last = next + count; next < last; ) next += await send(Math.min(RATE, last - next))
  },
}

/**
 * Publishes to this many topics, at most one second's worth.
 *
 * @returns to how many, which is fewer on a machine so slow that the hub ends the body first
 */
function send(count: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-ndjson' }
    const asked = request(url, { method: 'POST', headers }, async (answer) => {
      let text = ''
      for await (const piece of answer.setEncoding('utf8')) text += piece
      const { taken, code } = JSON.parse(text)
      if (answer.statusCode === 200 ? taken === count : code === 'stream_too_slow') resolve(taken)
      else reject(new Error(`Cannot publish: ${text}`))
    })
    asked.on('error', reject)
    const write = async () => {
      const began = performance.now()
      for (let done = 0; done < count; done += LINES) {
        await pause(Math.max(0, began + (done * 1000) / RATE - performance.now()))
        const lines = Array.from({ length: Math.min(LINES, count - done) }, (_, i) => line(next + done + i))
        await new Promise<void>((written) => asked.write(lines.join(''), () => written()))
      }
      asked.end()
    }
    write().catch(reject)
  })
}

function line(number: number): string {
  return `{"topic":"bang/${number.toString(36).padStart(8, '0')}/${'x'.repeat(40)}","data":"x"}\n`
}

export type Topics = typeof calls

attacks(calls)
