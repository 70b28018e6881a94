// The client of Tidings. client.d.ts documents it.

/** @import * as Types from './client.d.ts' */
/** @import * as Inside from './client-inside.d.ts' */

const MAX_CHARACTERS = 2 ** 24

/** @type {typeof Types.createParser} */
export function createParser({ onEvent, onRetry, onComment }) {
  // Node's decoder drops two byte order marks if the first one is cut.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let isFirst = true
  let pending = ['']
  let size = 0
  let isAfterCR = false
  let event = ''
  let data
  let id

  function read(line) {
    if (line === '') return dispatch()
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (field === 'data') data = data === undefined ? value : `${data}\n${value}`
    else if (field === 'event') event = value
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d+$/.test(value)) onRetry?.(Number(value))
    else if (field === '') onComment?.()
  }

  function dispatch() {
    if (data !== undefined) onEvent?.({ event: event || 'message', data, id })
    event = ''
    data = id = undefined
  }

  return {
    feed(bytes) {
      let text = decoder.decode(bytes, { stream: true })
      if (text === '') return
      if (isFirst && text[0] === '\ufeff') text = text.slice(1)
      isFirst = false
      if (isAfterCR && text[0] === '\n') text = text.slice(1)
      isAfterCR = text.endsWith('\r')
      pending.push(text)
      size += text.length
      if (size + (data?.length ?? 0) > MAX_CHARACTERS)
        throw new Error(`Cannot read an event of more than ${MAX_CHARACTERS} characters`)
      if (!/[\r\n]/.test(text)) return
      const lines = pending.join('').split(/\r\n|\r|\n/)
      const rest = lines.pop() ?? ''
      pending = [rest]
      size = rest.length
      for (const line of lines) read(line)
    },
  }
}

/** @type {typeof Types.matches} */
export function matches(pattern, topic) {
  const names = pattern.split('/')
  const segments = topic.split('/')
  if (topic[0] === '$' && segments[0] !== names[0]) return false
  const isRest = names.at(-1) === '**'
  if (isRest ? segments.length < names.length : segments.length !== names.length) return false
  return names.every((name, i) => name === '*' || name === segments[i] || (isRest && i === names.length - 1))
}

/** @type {typeof Types.backoffMs} */
export function backoffMs(awayMs, retryMs, random = Math.random) {
  return random() * Math.max(retryMs, Math.min(awayMs, 30_000))
}

/** @type {typeof Types.TidingsError} */
export const TidingsError = /** @type {any} */ (
  class TidingsError extends Error {
    constructor(code, message, more = {}) {
      super(message, more)
      const { status = 0 } = more
      const isTemporary =
        status >= 500 || [408, 425, 429].includes(status) || ['unreachable', 'silent', 'not_a_hub'].includes(code)
      Object.assign(this, { name: 'TidingsError', code, isTemporary }, more)
    }
  }
)

/** @type {Inside.Hub['errorOf']} */
async function errorOf(response) {
  const { status, headers } = response
  const { code = `http_${status}`, detail = `The hub answered ${status}` } = await response.json().catch(() => ({}))
  const retryAfterMs = Math.max(0, 1000 * Number(headers.get('retry-after'))) || undefined
  return new TidingsError(code, detail, { status, retryAfterMs })
}

/** @type {Inside.Hub['failure']} */
const failure = (cause) =>
  cause instanceof TidingsError ? cause : new TidingsError('unreachable', `No answer: ${cause}`, { cause })

/** @type {typeof Types.connect} */
export function connect(options) {
  const { token, ticket, credentials, shared, heartbeatMs = 15_000 } = options
  const subscriptions = new Set()
  let current
  let asking
  let tabs

  async function send(path, init, stale) {
    const given = await hub.tokenOf(stale)
    const headers = { ...init.headers, ...(given && { authorization: `Bearer ${given}` }) }
    const { fetch = globalThis.fetch } = options
    // Firefox would let a stream wait for another one of the same URL.
    const more = { ...(globalThis.location && { cache: 'no-store' }), ...(credentials && { credentials }) }
    const response = await fetch(new URL(path, hub.base).href, { ...init, ...more, headers })
    if (response.status !== 401 || typeof token !== 'function' || stale !== undefined) return response
    response.body?.cancel()
    return send(path, init, given ?? '')
  }

  /** @type {Inside.Hub} */
  const hub = {
    get base() {
      return new URL(`${options.url}`.replace(/\/*$/, '/'), globalThis.location?.href)
    },
    heartbeatMs,
    token,
    ticket,
    errorOf,
    failure,
    async tokenOf(stale) {
      if (typeof token !== 'function') return token
      if (current !== stale) return current
      asking ??= Promise.resolve(token()).finally(() => {
        asking = undefined
      })
      current = await asking
      return current
    },
    post(path, body, signal) {
      const headers = { 'content-type': 'application/json' }
      return send(path, { method: 'POST', headers, body: JSON.stringify(body), signal })
    },
    async ask(query, accept, signal) {
      if (ticket) query.set('ticket', typeof ticket === 'function' ? await ticket() : ticket)
      const init = { headers: { accept }, signal }
      // A list of topics may be too long for a URL.
      return `${query}`.length < 4000
        ? send(`event?${query}`, init)
        : send('event', { ...init, method: 'POST', body: query })
    },
  }

  /** @type {Inside.Source} */
  const own = (subscription) => openStream(hub, subscription)
  /** @type {Inside.Source} */
  const source = async (subscription) => {
    const { latest, gaps, repeatMs } = subscription.options
    if (!shared || latest || gaps || repeatMs || !subscription.topics.length) return own(subscription)
    tabs ??= import('./client-tabs.js')
      .then(({ createTabs }) => createTabs(hub, shared, own, (topics, given) => createSubscription(topics, given, own)))
      .catch(() => own)
    return (await tabs)(subscription)
  }

  const wake = ({ type }) => {
    if (!globalThis.document?.hidden) for (const subscription of subscriptions) subscription.wake(type === 'online')
  }
  const listen = (method) => {
    if (globalThis.location)
      for (const type of ['online', 'pageshow', 'visibilitychange', 'resume']) globalThis[method](type, wake, true)
  }

  return /** @type {any} */ ({
    subscribe(topics, given = {}) {
      if (!subscriptions.size) listen('addEventListener')
      const subscription = createSubscription([topics].flat(), given, source, (ended) => {
        subscriptions.delete(ended)
        if (!subscriptions.size) listen('removeEventListener')
      })
      if (subscription.isOpen) subscriptions.add(subscription)
      return subscription
    },
    publish: (messages, given) => publish(hub, messages, given),
    async request(path, init) {
      const response = await send(path, { ...init }).catch((cause) => {
        throw failure(cause)
      })
      if (response.ok) return response
      throw await errorOf(response)
    },
    close() {
      for (const subscription of subscriptions) subscription.close()
    },
  })
}

const MAX_WAITING_EVENTS = 256

/** @type {Inside.CreateSubscription} */
function createSubscription(topics, options, source, onEnd) {
  const { onEvent, onGap, onInvalid, schema, signal } = options
  let waiting
  if (!onEvent) waiting = []
  let isLoud
  let wakeReader
  let wakeSource

  async function call(callback, ...given) {
    try {
      await callback?.(...given)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  function shout(error) {
    if (waiting) return subscription.fail(error)
    if (!isLoud) console.error(error)
    isLoud = true
  }

  function end(state) {
    if (!subscription.isOpen) return
    subscription.enter(state)
    subscription.isOpen = false
    signal?.removeEventListener('abort', subscription.close)
    reading.then((source) => source.stop()).catch(() => {})
    wakeReader?.()
    wakeSource?.()
    onEnd?.(subscription)
  }

  async function check(event) {
    const found = schemaOf(schema, event)
    if (!found) return
    let value = event.data
    try {
      value = JSON.parse(value)
    } catch {
      // It is a text.
    }
    try {
      const { issues, value: data } = await found['~standard'].validate(value)
      return issues ? { issues } : { ...event, data }
    } catch (error) {
      return { issues: [{ message: `${error}` }] }
    }
  }

  /** @type {Inside.Sink & { state: Types.State, isOpen: boolean }} */
  const subscription = {
    topics,
    options,
    position: options.lastEventId,
    state: { state: 'connecting' },
    isOpen: true,
    closed: new Set(),
    get query() {
      const { from, last, since, latest, gaps, repeatMs } = options
      const { topics, position } = subscription
      const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
      const begin = position === undefined ? { from, last, since } : { lastEventId: position }
      const given = { ...begin, envelope: topics.length > 0, latest, gaps, repeat: repeatMs }
      for (const [name, value] of Object.entries(given)) if (value) query.set(name, `${value}`)
      return query
    },
    enter(state) {
      if (!subscription.isOpen) return
      subscription.state = state
      call(options.onState, state)
    },
    opened(opened) {
      subscription.enter({ state: 'live' })
      call(options.onOpen, opened)
    },
    async deliver(event) {
      const checked = schema ? await check(event) : event
      if (!subscription.isOpen) return
      subscription.position = event.id || subscription.position
      subscription.closed.delete(event.topic)
      if (!checked) return
      const { issues } = checked
      if (issues)
        return onInvalid
          ? call(onInvalid, event, issues)
          : shout(new TidingsError('data_invalid', `Invalid data on ${event.topic}: ${issues[0]?.message}`))
      if (onEvent) await call(onEvent, checked)
      if (!waiting) return
      waiting.push(checked)
      wakeReader?.()
      if (waiting.length >= MAX_WAITING_EVENTS)
        await new Promise((resolve) => {
          wakeSource = resolve
        })
    },
    gap: (gap) =>
      onGap
        ? call(onGap, gap)
        : shout(new TidingsError('gap', `Events are lost (${gap.reason}): load the state anew in onGap`, { gap })),
    topicClosed(told) {
      const { closed, isOpen, topics } = subscription
      if (isOpen && !closed.has(told.topic)) call(options.onClosed, { outcome: 'done', ...told })
      closed.add(told.topic)
      if (topics.every((topic) => closed.has(topic))) end({ state: 'closed' })
    },
    fail(error) {
      if (!waiting && !options.onState) console.error(error)
      end({ state: 'failed', error })
    },
    close: () => end({ state: 'stopped' }),
    async change(names) {
      const before = subscription.topics
      subscription.topics = [names].flat()
      try {
        return await (await reading).change(subscription.topics)
      } catch (error) {
        subscription.topics = before
        throw error
      }
    },
    wake: (isOnline) => void reading.then((source) => source.wake(isOnline)),
    async *[Symbol.asyncIterator]() {
      waiting ??= []
      let id
      try {
        for (;;) {
          if (waiting.length < MAX_WAITING_EVENTS / 2) wakeSource?.()
          const event = waiting.shift()
          id = event?.id || id
          if (event) yield event
          else if (subscription.isOpen)
            await new Promise((resolve) => {
              wakeReader = resolve
            })
          else if (subscription.state.state === 'failed') throw subscription.state.error
          else return
        }
      } finally {
        // The program was not given the rest.
        if (waiting.length) subscription.position = id
        subscription.close()
      }
    },
  }

  const reading = Promise.resolve(source(subscription))
  reading.catch((cause) => subscription.fail(failure(cause)))
  if (signal?.aborted) subscription.close()
  signal?.addEventListener('abort', subscription.close)
  return subscription
}

function schemaOf(schemas, { topic, event }) {
  const { events, topics = events } = schemas
  if (!topics) return schemas
  return Object.entries(topics).find(([name]) => (events ? name === event : matches(name, topic)))?.[1]
}

/** @type {Inside.OpenStream} */
function openStream(hub, subscription) {
  let connection
  let ending
  let stream
  let changes
  let lostAt = 0
  let retryMs = 3000
  let heardAt = 0
  let isPausing = false
  let isHandling = false
  let isTold = false
  let { heartbeatMs: beatMs } = hub

  async function run() {
    while (subscription.isOpen) {
      const error = await read()
      if (error && !error.isTemporary) return subscription.fail(error)
      if (ending?.isHasty || !subscription.isOpen) continue
      lostAt ||= Date.now()
      const ms = isTold ? retryMs : (error?.retryAfterMs ?? 0) + backoffMs(Date.now() - lostAt, retryMs)
      subscription.enter({ state: 'reconnecting', retryInMs: ms, error })
      connection = new AbortController()
      isTold ||= error?.retryAfterMs
      isPausing = true
      await sleep(ms, connection.signal)
      isPausing = false
    }
  }

  async function read() {
    let error
    connection = new AbortController()
    const { signal } = connection
    ending = undefined
    isTold = false
    heardAt = Date.now()
    const isDemo = !subscription.topics.length
    const heard = []
    const parser = createParser({
      onEvent: (frame) => heard.push(frame),
      onRetry: (ms) => {
        retryMs = Math.min(ms, 3_600_000)
      },
      onComment: learnBeat,
    })

    function take({ event, data, id = '' }) {
      const told = JSON.parse(data)
      if (isDemo) return subscription.deliver({ id, topic: '$store', event, data, time: told.timestamp })
      if (!event.startsWith('hub.')) return subscription.deliver({ id, ...told })
      // Only the next frame reports the gap.
      if (id && told.state !== 'gap') subscription.position = id
      if (event === 'hub.open') {
        stream = told.stream
        lostAt = 0
        subscription.opened({ state: told.state })
      } else if (event === 'hub.gap') return subscription.gap(told)
      else if (event === 'hub.closed') subscription.topicClosed(told)
      else if (event === 'hub.expiring') renew()
      else if (event === 'hub.ending') isTold = true
      else if (event === 'hub.checkpoint') learnBeat()
    }

    const timer = setInterval(look, hub.heartbeatMs / 4)
    try {
      const response = await hub.ask(subscription.query, '*/*', signal)
      if (response.status === 204)
        for (const topic of subscription.topics) subscription.topicClosed({ topic, outcome: undefined })
      else if (!response.ok) throw await errorOf(response)
      else if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
        throw new TidingsError('not_a_hub', `No event stream is at ${hub.base}`)
      else if (isDemo) {
        lostAt = 0
        subscription.opened({ state: 'live' })
      }
      const reader = response.body?.getReader()
      for (;;) {
        const chunk = await reader?.read()
        if (!chunk?.value || signal.aborted) break
        parser.feed(chunk.value)
        isHandling = true
        for (const frame of heard.splice(0)) if (!signal.aborted) await take(frame)
        isHandling = false
        heardAt = Date.now()
      }
      if (isDemo) isTold = true
    } catch (cause) {
      error = failure(cause)
    }
    isHandling = false
    clearInterval(timer)
    stream = undefined
    connection.abort()
    return ending ? ending.error : error
  }

  // The comment before hub.open is no heartbeat.
  function learnBeat() {
    if (stream) beatMs = Math.max(hub.heartbeatMs, Date.now() - heardAt)
  }

  function look() {
    const silence = Date.now() - heardAt
    // Below 0, the clock was set back.
    if (isHandling || (silence >= 0 && silence < 1.75 * beatMs)) return
    if (stream) beatMs *= 2
    end({ error: new TidingsError('silent', `Nothing was heard for ${silence} ms`) })
  }

  function end(why) {
    ending = why
    connection?.abort()
  }

  async function renew() {
    const renewed = stream
    try {
      if (typeof hub.ticket === 'function') end({})
      if (typeof hub.token !== 'function') return
      await hub.tokenOf(await hub.tokenOf())
      const { status } = await hub.post(`streams/${renewed}`, {}, connection.signal)
      if (status === 404 && renewed === stream) end({})
    } catch {
      // The stream ends with its token, and the next one has a new token.
    }
  }

  async function change(topics) {
    const live = stream && !hub.ticket
    const response = live && (await hub.post(`streams/${stream}`, { topics }, connection.signal).catch(() => {}))
    if (response?.ok) return true
    const error = response && (await errorOf(response))
    if (error && !error.isTemporary && error.status !== 404) throw error
    end({ isHasty: true })
  }

  run()
  return {
    change(topics) {
      const changing = Promise.resolve(changes).then(() => change(topics))
      changes = changing.catch(() => {})
      return changing
    },
    wake(isOnline) {
      if (isPausing) isTold || end({})
      else if (isOnline) end({ isHasty: true })
      else look()
    },
    stop: () => end({}),
  }
}

/** @type {Inside.Publish} */
async function publish(hub, messages, { key = randomKey(), signal, timeoutMs = 30_000 } = {}) {
  const body = Array.isArray(messages)
    ? messages.map((message, i) => ({ key: `${key}/${i}`, ...message }))
    : { key, ...messages }
  const until = Date.now() + timeoutMs
  let outcome = 'refused'
  let lostAt = 0
  for (;;) {
    const limit = AbortSignal.timeout(Math.max(1, Math.min(15_000, until - Date.now())))
    let error
    try {
      const response = await hub.post('send', body, signal ? AbortSignal.any([signal, limit]) : limit)
      if (response.ok) return await response.json()
      error = await errorOf(response)
    } catch (cause) {
      error = failure(cause)
    }
    signal?.throwIfAborted()
    if (!error.status || error.status >= 500) outcome = 'unknown'
    lostAt ||= Date.now()
    const ms = (error.retryAfterMs ?? 0) + backoffMs(Date.now() - lostAt, 500)
    if (!error.isTemporary || Date.now() + ms > until) throw Object.assign(error, { outcome, key })
    await sleep(ms, signal)
    signal?.throwIfAborted()
  }
}

/** Waits, at most until the signal aborts. @returns {Promise<void>} */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal?.addEventListener('abort', end)
  })
}

/** `crypto.randomUUID` is missing in pages without TLS. */
const randomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
