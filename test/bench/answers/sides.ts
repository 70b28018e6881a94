import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ProducerProcess } from '../../fault/runs/process.ts'
import { RunReader } from '../../fault/runs/reader.ts'
import { random } from '../../server/random.ts'
import { redisServer } from '../../server/redis.ts'
import { start } from '../../server/server.ts'
import { upstreamContext } from './context.ts'

export const LEASE_MS = 2000
export const GRACE_MS = 500
const TOKEN_MS = 20

/** What a reader has got of an answer so far, and how it was told that the answer ended; undefined while it waits. */
export interface Reading {
  readonly tokens: number
  readonly end: 'an error' | 'a clean end' | undefined
}

/** An answer: a producer in a process of its own. */
export interface Answer {
  /** Kills the producer with SIGKILL. @returns how many tokens it has said */
  kill(): Promise<number>
  /** A reader who follows from now on. */
  read(): () => Reading
}

/** A way to make answers that readers can resume. */
export interface Side {
  readonly name: string
  answer(n: number): Promise<Answer>
  stop(): Promise<unknown>
}

/** A hub with its log in memory, and runs over HTTP. */
export async function tidings(): Promise<Side> {
  const server = await start({ LOG: 'memory:' })
  const patient = Object.assign(() => 1, random()) // a reader that never leaves by itself
  const answer = async (n: number): Promise<Answer> => {
    const topic = `answers/${n}`
    const order = { name: 'a', way: 'calls', urls: [server.url], topic, key: topic } as const
    const timing = { leaseMs: LEASE_MS, graceMs: GRACE_MS, tokens: 1_000_000, everyMs: TOKEN_MS }
    const producer = new ProducerProcess({ ...order, ...timing })
    while (producer.steps.length < 2 && producer.endedAt === undefined) await pause(5)
    const saidBy = () => producer.steps.filter((step) => 'acknowledged' in step).length
    return {
      kill: () => producer.kill().then(saidBy),
      read() {
        const reader = new RunReader(topic, async () => server.port, patient)
        return () => ({
          tokens: reader.got.length,
          end: reader.ends.length === 0 ? undefined : reader.ends[0] === 'done' ? 'a clean end' : 'an error',
        })
      },
    }
  }
  return { name: 'tidings', answer, stop: () => server.kill('SIGTERM') }
}

/** Upstream `resumable-stream` on a real Redis. */
export async function upstream(): Promise<Side> {
  const redis = await redisServer()
  const { context, close } = await upstreamContext(redis.port)
  const readers = new Set<ReadableStreamDefaultReader<string>>()
  const follow = (id: string) => {
    let text = ''
    let end: Reading['end']
    const run = async () => {
      const stream = await context.resumeExistingStream(id)
      const reader = stream?.getReader()
      if (!reader) return
      readers.add(reader)
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value
    }
    run().then(
      () => {
        end = 'a clean end'
      },
      () => {
        end = 'an error'
      },
    )
    return (): Reading => ({ tokens: text.split('\n').length - 1, end })
  }
  const answer = async (n: number): Promise<Answer> => {
    const program = join(import.meta.dirname, 'upstream.ts')
    const args = [program, `${redis.port}`, `${n}`, `${TOKEN_MS}`]
    const child: ChildProcess = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    while (said === '' && child.exitCode === null) await pause(5)
    return {
      async kill() {
        const gone = once(child, 'close')
        child.kill('SIGKILL')
        await gone
        return said.split('\n').length - 1
      },
      read: () => follow(`${n}`),
    }
  }
  const stop = async () => {
    for (const reader of readers) await reader.cancel() // upstream looks after a stream for as long as it is not cancelled
    close()
    return redis.kill()
  }
  return { name: 'resumable-stream 2.2.13 on Redis', answer, stop }
}
