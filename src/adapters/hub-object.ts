/// <reference path="./cloudflare-workers.d.ts" />
import { DurableObject } from 'cloudflare:workers'
import { createApp } from '../app.ts'
import { Auth } from '../auth/auth.ts'
import type { Config } from '../config/config.ts'
import type { WorkerConfig } from '../config/worker.ts'
import { AppError } from '../errors.ts'
import type { HubEvents } from '../hub/events.ts'
import { Hub } from '../hub/hub.ts'
import type { Published } from '../hub/internal.ts'
import type { SubscribeOptions } from '../hub/options.ts'
import type { Message } from '../log/log.ts'
import { type Connection, envOf } from '../routes/connection.ts'
import type { File } from '../routes/page.ts'
import { afterCloses, collect, type Polled } from '../routes/poll.ts'
import { Filter } from '../topic.ts'
import { answerPulled } from './carrier.ts'
import { endFields, failureLine } from './event-lines.ts'
import type { Fetcher } from './forward.ts'
import { type ObjectState, objectAlarm, openObject } from './object.ts'
import { settingsOf } from './worker-settings.ts'

/** The bindings of an object, as far as we use them; its variables and secrets are settings. */
export interface ObjectEnv {
  /** The files of the page. Without this binding there is no page: `/` is 404. */
  readonly ASSETS?: Fetcher
}

/**
 * Which entries to read: those after a position, or from where `from` says; by default none, and the position at the head.
 *
 * @example
 * const first: EntriesQuery = { topics: 'orders/*', from: { last: 10 } }
 * const next = ({ position }: Polled): EntriesQuery => ({ topics: 'orders/*', after: position })
 */
export interface EntriesQuery extends Pick<SubscribeOptions, 'from' | 'latest'> {
  /** Topics and patterns. */
  readonly topics: string | readonly string[]
  /** The `position` of the last answer, or the `id` of an event. */
  readonly after?: string
}

/**
 * The Durable Object of one hub: one thread, one SQLite database, one order. Its methods are called by RPC, on a stub; the bindings of the
 * caller's Worker decide who may call them, so they take no credentials.
 *
 * @example
 * export { TidingsHub } from 'tidings/worker'
 * // Such a stub is env.HUBS.get(env.HUBS.idFromName('main')).
 * const announce = (stub: Pick<TidingsHub, 'publish'>) => stub.publish({ topic: 'news', data: 'It works' })
 */
export class TidingsHub extends DurableObject<ObjectEnv> {
  readonly #app: ReturnType<typeof createApp>
  readonly #hub: Hub
  /** Whether the runtime pulls the streams of topics from their subscriptions. */
  readonly #isPulled: boolean

  constructor(state: ObjectState, env: ObjectEnv) {
    super(state, env)
    const config = ofHub(settingsOf(env), state.id.name)
    this.#isPulled = config.carrier === 'native'
    const warn = (message: string) => console.log(JSON.stringify({ level: 'warn', message }))
    const events: HubEvents = {
      failed: (what, cause) => console.error(failureLine(what, cause)),
      ended(subscription, why) {
        const fields = endFields(config.requestLog, subscription, why)
        if (fields) console.log(JSON.stringify(fields))
      },
    }
    const open = () => openObject(state, { ...config.logOptions, warn }, objectAlarm(state))
    // An object that fails disconnects all its readers at once, and opens a few hundred streams a second when they come back.
    this.#hub = new Hub(open, { ...config.hub, spreadsRetry: true, events })
    const auth = new Auth(this.#hub, config.auth)
    auth.check().catch((cause) => console.error(failureLine('Cannot use the keys', cause)))
    this.#app = createApp({
      ...{ hub: this.#hub, config, auth },
      files: (path) => asset(env, path),
      writeLine: (line) => console.log(JSON.stringify(line)),
    })
  }

  /** The platform calls this at the time of the alarm, and starts the object first if it has left memory. */
  alarm(): Promise<void> {
    return this.#hub.sweep()
  }

  fetch(request: Request): Response | Promise<Response> {
    // The platform sets this header; a client cannot.
    const address = request.headers.get('cf-connecting-ip')
    const connection: Connection = address === null ? {} : { address }
    if (!this.#isPulled) return this.#app.fetch(request, envOf(connection))
    return answerPulled(request, connection, (env) => this.#app.fetch(request, env))
  }

  /**
   * Publishes one message or several, all or none, and resolves when they are on the disk.
   *
   * @throws an error whose message begins with the code of the AppError of `Hub.publish`: RPC passes only the message on
   */
  publish(messages: Message | readonly Message[]): Promise<readonly Published[]> {
    return byRpc(() => this.#hub.publish([messages].flat() as Message[]))
  }

  /**
   * Returns the entries that are due after a position, like a poll: at most about 32 KiB of them, and the position to go on from.
   *
   * @throws an error whose message begins with the code of the AppError of `Filter.parse` and `Hub.subscribe`
   */
  entries({ topics, after = '', from, latest }: EntriesQuery): Promise<Polled> {
    return byRpc(async () => {
      const filter = Filter.parse([topics].flat() as string[])
      const options = { lastEventId: after, envelope: true, ...(from && { from }), ...(latest && { latest }) }
      const subscription = await this.#hub.subscribe(filter, options)
      return subscription ? collect(subscription, 0) : afterCloses(after, filter)
    })
  }
}

/** The settings of one of the hubs that share a deployment: its credentials, cookies and URLs are not those of another. */
function ofHub({ hubs, ...config }: WorkerConfig, name: string | undefined): Config {
  const { cookieName } = config.auth
  const hub = { name, isRequired: hubs.from !== undefined }
  if (hubs.from !== 'path') return { ...config, auth: { ...config.auth, hub } }
  // Hubs of one host share its cookies, whose names tell them apart.
  const auth = { ...config.auth, hub, cookieName: `${cookieName}-${name}` }
  return { ...config, auth, basePath: `${config.basePath ?? ''}/${name}` }
}

async function byRpc<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    throw cause instanceof AppError ? new Error(`${cause.code}: ${cause.message}`) : cause
  }
}

/**
 * Fetches a file of the page from the platform, so that the app serves it with the same headers as on every runtime. A host may have another
 * kind of binding under this name: there is no page then.
 */
async function asset({ ASSETS }: ObjectEnv, path: string): Promise<File | undefined> {
  if (typeof ASSETS?.fetch !== 'function') return
  const found = await ASSETS.fetch(new Request(`https://assets.local${path}`, { redirect: 'manual' }))
  const type = found.headers.get('content-type')
  if (found.status === 200 && type) return { type, bytes: await found.arrayBuffer() }
  await found.body?.cancel()
  return
}
