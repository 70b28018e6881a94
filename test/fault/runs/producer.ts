/*
 * A producer in a process of its own, to be killed: `node producer.ts <order as JSON>`. Prints a line of JSON for each step. Ends when its
 * standard input ends, so that none outlives the test.
 */
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { AppError } from '../../../src/errors.ts'
import { remoteRuns } from '../../../src/runs/remote.ts'
import type { Run } from '../../../src/runs/run.ts'
import type { Order, Step } from './order.ts'

const order = JSON.parse(process.argv[2]!) as Order
const { urls, topic, leaseMs, graceMs, tokens, everyMs } = order

process.stdin.resume().on('end', () => process.exit(3))
tell(await (order.way === 'calls' ? calls() : body()))
process.exit(0)

function tell(step: Step): void {
  process.stdout.write(`${JSON.stringify(step)}\n`)
}

function anyUrl(): string {
  return urls[Math.floor(Math.random() * urls.length)]!
}

/** Claims, publishes and ends with requests. */
async function calls(): Promise<Step> {
  const fetchAny = (url: string, init: RequestInit) => fetch(url.replace('http://any', anyUrl()), init)
  const runs = remoteRuns({ url: 'http://any', fetch: fetchAny })
  let i = 0 // after an outage it goes on: it would never end if the hub were killed more often than it can say everything
  for (;;) {
    let run: Run | undefined
    try {
      run = await runs.claim(topic, { leaseMs, graceMs })
      tell({ claimed: run.fence })
      for (; i < tokens && !run.signal.aborted; i++) {
        const data = `${run.fence}:${order.name}:${i}`
        const { id } = await run.publish({ data })
        tell({ acknowledged: data, id })
        await pause(everyMs)
      }
      const isStopped = run.signal.aborted && run.signal.reason.code === 'run_stopped'
      if (run.signal.aborted && !isStopped) return { over: run.signal.reason.code }
      const outcome = isStopped ? 'stopped' : 'done'
      await run.end({ outcome })
      return { over: outcome }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (error.code === 'run_lost' || error.code === 'topic_closed') return { over: error.code }
      run?.release() // otherwise it is renewed, and so the next claim is refused
      tell({ refused: error.code })
      await pause(50) // taken, or the hub is away
    }
  }
}

/** Sends a body that is a run; after an outage, sends it again with the same key. */
async function body(): Promise<Step> {
  let sent = 0
  const send = () =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const query = `topic=${topic}&run=${leaseMs}ms&grace=${graceMs}ms`
      const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': order.key }
      const posting = request(`${anyUrl()}/send?${query}`, { method: 'POST', headers }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        answer.on('end', () => resolve(JSON.parse(text)))
        answer.on('error', reject)
      })
      posting.on('error', reject)
      void write(posting)
    })
  const write = async (posting: ReturnType<typeof request>) => {
    for (let i = 0; i < tokens && !posting.destroyed; i++) {
      posting.write(`${JSON.stringify({ data: `0:body:${i}` })}\n`)
      sent = Math.max(sent, i)
      if (i >= sent) await pause(everyMs)
    }
    posting.end(`${JSON.stringify({ close: true })}\n`)
  }
  for (;;) {
    const answer = await send().catch(() => ({ code: 'no answer' }) as Record<string, unknown>)
    if (answer.ended) return { over: 'done' }
    if (answer.stopped) return { over: 'stopped' }
    const code = String(answer.code)
    if (code === 'topic_closed' || code === 'run_lost') return { over: code }
    tell({ refused: code })
    await pause(50)
  }
}
