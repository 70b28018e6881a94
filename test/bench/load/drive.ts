import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { rssOf, withoutProc } from '../../server/server.ts'
import { watchUsage } from '../usage.ts'
import type { Load, Loaded, Stage } from './load.ts'

/** The server under load: a process of this machine, or only a URL. */
export interface Target {
  readonly url: string
  readonly pid?: number
}

export interface Driven extends Loaded {
  /** Processor time of the server for each delivery, if it can be measured. */
  readonly cpuUs?: number
  /** The growth of the server's memory for each reader. */
  readonly bytesPerReader?: number
}

/** Loads a hub from another process, and measures the server meanwhile. */
export async function drive({ url, pid }: Target, load: Omit<Load, 'url'>): Promise<Driven> {
  const isKnown = pid !== undefined && !withoutProc
  const before = isKnown ? rssOf(pid) : 0
  let connected = 0
  let stop = () => undefined as ReturnType<ReturnType<typeof watchUsage>>
  let usage: ReturnType<typeof stop>
  const child = fork(join(import.meta.dirname, 'load.ts'), { execArgv: [] })
  child.send({ url, ...load } satisfies Load)
  const loaded = await new Promise<Loaded>((resolve, reject) => {
    child.on('message', (told: { stage: Stage } | { loaded: Loaded }) => {
      if ('loaded' in told) {
        resolve(told.loaded)
        return
      }
      if (isKnown && told.stage === 'connected') connected = rssOf(pid)
      if (isKnown && told.stage === 'counting') stop = watchUsage(pid)
      if (isKnown && told.stage === 'counted') usage = stop()
      child.send('go on')
    })
    once(child, 'exit').then(([code]) => reject(new Error(`The load generator ended with ${code}`)))
  })
  return {
    ...loaded,
    ...(usage && loaded.deliveries > 0 && { cpuUs: usage.cpuUs / loaded.deliveries }),
    ...(isKnown && { bytesPerReader: (connected - before) / load.readers }),
  }
}
