import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { type Connection, envOf } from '../routes/connection.ts'
import { store } from '../store.ts'
import { answerPulled } from './carrier.ts'
import { closedPeers } from './closed-peers.ts'
import { type DenoInfo, DenoListener } from './deno-listener.ts'
import { readFile } from './files.ts'
import { openAuth } from './keys.ts'
import { heapCheck } from './limits.ts'
import { eventLines, writeLine } from './log-lines.ts'
import { openLog } from './logs.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'

/**
 * Serves the store of this process over HTTP on Deno until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 * @example
 * import process from 'node:process'
 * import { parseConfig } from 'tidings'
 * import { serve } from 'tidings/deno'
 * const { url, stop } = await serve(parseConfig(process.env))
 * console.log(`The hub listens on ${url}`)
 * process.once('SIGTERM', stop)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(await openLog(config), {
    ...config.hub,
    events: eventLines(config.requestLog),
    isShort: heapCheck(config.heapWatermark),
  })
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, writeLine })
  const isNative = config.carrier === 'native'
  const listener = await listen(config, (request, { remoteAddr }) => {
    const connection: Connection = {
      address: remoteAddr.hostname,
      // The signal of a request whose body came after its headers fires only once the response is written.
      whenClosed: (call) => closedPeers.watch(remoteAddr.hostname, remoteAddr.port, call),
    }
    return isNative
      ? answerPulled(request, connection, (env) => app.fetch(request, env))
      : app.fetch(request, envOf(connection))
  })
  return { url: urlOf(config.host, listener.port), stop: () => stop(listener) }
}

async function listen(config: Config, fetch: (request: Request, info: DenoInfo) => Response | Promise<Response>) {
  try {
    return new DenoListener(config.host, config.port, fetch)
  } catch (cause) {
    throw await cannotListen(config, cause)
  }
}

async function stop(listener: DenoListener): Promise<void> {
  store.drain()
  // Deno cannot close the connections that are left: aborting a server while it shuts down throws. They end with the process.
  await Promise.race([listener.shutdown(), new Promise((resolve) => setTimeout(resolve, DRAIN_MS))])
  await store.close()
}

if (import.meta.main) void run(serve)
