import { whenGone } from '../../client-gone.ts'
import { type At, follow, type HubAccess } from './follow.ts'
import { AFTER_HEADER, DONE, TOPIC_HEADER } from './wire.ts'

/** A value, or a function that makes it for each request. */
type Resolvable<T> = T | (() => T | Promise<T>)

/**
 * Where the application and the hub are.
 *
 * @example
 * const options: TidingsChatTransportOptions = { api: '/api/chat', hub: 'https://hub.example', hubHeaders: { authorization: 'Bearer eyJ…' } }
 */
export interface TidingsChatTransportOptions {
  /** The route of the application that makes answers, and above `/<chat id>/stream`: `/api/chat` by default. */
  readonly api?: string
  /** The URL of the hub, with the path under which it is mounted: that of the page's own origin by default. */
  readonly hub?: string
  /** Headers of requests to the application. */
  readonly headers?: Resolvable<Record<string, string> | Headers>
  /** Headers of requests to the hub, such as a token. */
  readonly hubHeaders?: Resolvable<Record<string, string> | Headers>
  /** The credentials mode of all requests: that of `fetch` by default. */
  readonly credentials?: RequestCredentials
  /** More members of the body of requests to the application. */
  readonly body?: Resolvable<object>
  /** How long the hub may be out of reach before the chat shows an error, in ms: two minutes by default. */
  readonly maxOutageMs?: number
  readonly fetch?: typeof globalThis.fetch
}

/** What `useChat` asks of a transport. */
interface ChatRequest {
  readonly chatId: string
  readonly abortSignal?: AbortSignal | undefined
  readonly headers?: Record<string, string> | Headers | undefined
}

interface MessagesRequest extends ChatRequest {
  readonly trigger: string
  readonly messageId: string | undefined
  readonly messages: readonly unknown[]
  readonly body?: object | undefined
}

/**
 * The `ChatTransport` of the AI SDK, described by what it is called with, so that these types need no version of `ai`.
 *
 * @example
 * import type { UIMessageChunk } from 'ai'
 * const transport: TidingsChatTransport<UIMessageChunk> = tidingsChatTransport()
 * const chunks = await transport.reconnectToStream({ chatId: 'chat-1' })
 */
export interface TidingsChatTransport<CHUNK> {
  readonly resumeStreamIsReplay: true
  sendMessages(request: MessagesRequest): Promise<ReadableStream<CHUNK>>
  /** Resolves with null if the chat has nothing to resume. */
  reconnectToStream(request: ChatRequest): Promise<ReadableStream<CHUNK> | null>
}

const MAX_OUTAGE_MS = 120_000

/**
 * A transport for `useChat` that asks the application for an answer, and reads it from the hub. A connection that breaks is opened again, after
 * the last event, so an answer survives networks, proxies and a restart of the hub without a reload. Routes of the application are those of
 * `chatAnswers`, and responses need `Answer.headers`; from another origin they need `Access-Control-Expose-Headers: tidings-topic, tidings-after`.
 *
 * Whoever reads the chunks without `useChat` names their type, `UIMessageChunk` of `ai`.
 *
 * @example
 * import { useChat } from '@ai-sdk/react'
 * const transport = tidingsChatTransport({ api: '/api/chat' })
 * const useAnswers = (id: string) => useChat({ id, transport, resume: true })
 */
export function tidingsChatTransport<CHUNK = never>(
  options: TidingsChatTransportOptions = {},
): TidingsChatTransport<CHUNK> {
  const { api = '/api/chat', hub: url = '', credentials, maxOutageMs = MAX_OUTAGE_MS } = options
  const mode: RequestInit = credentials ? { credentials } : {}
  const send: HubAccess['fetch'] = (to, init) => (options.fetch ?? globalThis.fetch)(to, init)
  const hub: HubAccess = {
    ...{ url: url.replace(/\/+$/, ''), maxOutageMs, fetch: send },
    init: async () => ({ ...mode, headers: new Headers(await resolve(options.hubHeaders)) }),
  }

  /** Asks the application. @throws Error if it refuses */
  async function ask(path: string, given: HeadersInit | undefined, init: RequestInit): Promise<Response> {
    const headers = new Headers(await resolve(options.headers))
    for (const [name, value] of new Headers(given)) headers.set(name, value)
    if (init.body) headers.set('content-type', 'application/json')
    const response = await send(path, { ...mode, ...init, headers })
    if (!response.ok) throw new Error((await response.text()) || `The application answered ${response.status}`)
    return response
  }

  return {
    resumeStreamIsReplay: true,

    async sendMessages({ chatId, messages, trigger, messageId, abortSignal, headers, body }) {
      const all = { ...(await resolve(options.body)), ...body, id: chatId, messages, trigger, messageId }
      const init = { method: 'POST', body: JSON.stringify(all), ...(abortSignal && { signal: abortSignal }) }
      return answerAt(hub, named(await ask(api, headers, init)), abortSignal)
    },

    async reconnectToStream({ chatId, abortSignal, headers }) {
      if (chatId === '.' || chatId === '..') throw new Error(`Cannot use "${chatId}" as the id of a chat: it is a path`)
      const path = `${api}/${encodeURIComponent(chatId)}/stream`
      const response = await ask(path, headers, abortSignal ? { signal: abortSignal } : {})
      return response.status === 204 ? null : answerAt(hub, named(response), abortSignal)
    },
  }
}

/** The answer that a response of the application names. Its body, if it has one, is the answer too, and is not read. */
function named(response: Response): At {
  response.body?.cancel().catch(() => {})
  const topic = response.headers.get(TOPIC_HEADER)
  if (topic === null)
    throw new Error(`Cannot follow the answer: the response has no ${TOPIC_HEADER}, send Answer.headers`)
  return { topic, after: response.headers.get(AFTER_HEADER) ?? undefined }
}

/** The chunks of an answer. Cancelling, as `useChat` does to stop, ends the request and not the answer. */
function answerAt<CHUNK>(hub: HubAccess, answer: At, abortSignal: AbortSignal | undefined): ReadableStream<CHUNK> {
  const control = new AbortController()
  const stopListening = abortSignal && whenGone(abortSignal, () => control.abort())
  const chunks = follow(hub, answer, control.signal)
  const leave = () => {
    stopListening?.()
    control.abort()
  }
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next()
        if (!done && value !== DONE) return controller.enqueue(JSON.parse(value) as CHUNK)
        controller.close()
      } catch (error) {
        controller.error(error)
      }
      leave()
    },
    cancel: leave,
  })
}

async function resolve<T>(value: Resolvable<T> | undefined): Promise<T | undefined> {
  return typeof value === 'function' ? (value as () => T | Promise<T>)() : value
}
