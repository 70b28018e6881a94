// One stream for all tabs of an origin that have the same hub and the same credential.
//
// The tab that holds a Web Lock leads: it reads the stream of what all tabs want, and posts to each tab the events of its topics. A tab reads
// what came before by polling: first everything up to now, then, when the leader says that the stream has its topics, what came meanwhile.
// So a change of the leader loses nothing: each tab polls again from its own position, and drops what it has had.

/** @import * as Inside from './client-inside.d.ts' */

import { backoffMs, matches, TidingsError } from './client.js'

/** The leader shows this often that it is alive. A visible tab takes over from one that has been hidden for as long. */
const ALIVE_MS = 5000
/** A visible tab takes over from a leader that was silent for this long: it is frozen. */
const DEAD_MS = 3 * ALIVE_MS
/** Events that wait in a tab for a slow program. More are not kept but polled again. */
const MAX_EVENTS = 1000
/** A poll without an answer for this long is repeated. */
const POLL_MS = 30_000

/** @type {Inside.CreateTabs} */
export async function createTabs(hub, shared, own, open) {
  if (!globalThis.document) return own
  const me = crypto.randomUUID()
  // These throw where they are missing or denied, as in a sandboxed frame or a page without the right to store data.
  await navigator.locks.request(`tidings ${me}`, () => {})
  new BroadcastChannel(`tidings ${me}`).close()
  Promise.withResolvers()
  /** Names what the tabs share, once the token is known. */
  let place = ''
  /** @type {BroadcastChannel | undefined} */
  let control
  /** @type {BroadcastChannel | undefined} */
  let mine
  /** @type {Set<Inside.Member>} */
  const members = new Set()
  /** @type {{ turn: number, resolve(): void }[]} */
  let waiting = []
  /** The leader's: a later leader has a higher one. */
  let term = 0
  let turn = 0
  let heardAt = 0
  let isLeaderHidden = false
  let isFrozen = false
  /** @type {ReturnType<typeof lead> | undefined} */
  let leader
  /** @type {AbortController | undefined} */
  let candidacy
  /** While this tab has subscriptions, it holds the lock of its name, so that the leader notices its end. @type {Promise<() => void> | undefined} */
  let present
  /** @type {ReturnType<typeof setInterval>} */
  let timer
  const sleepers = new Set()

  function arrive() {
    heardAt = Date.now()
    control = new BroadcastChannel(place)
    control.onmessage = listen
    mine = new BroadcastChannel(`${place} ${me}`)
    mine.onmessage = hear
    present = new Promise((resolve) => {
      navigator.locks.request(`${place} ${me}`, () => new Promise((release) => resolve(() => release(undefined))))
    })
    present.then(() => want())
    timer = setInterval(look, ALIVE_MS)
    for (const type of ['visibilitychange', 'freeze', 'resume']) document.addEventListener(type, changed)
    campaign()
  }

  function depart() {
    want()
    control?.close()
    mine?.close()
    control = undefined
    present?.then((release) => release())
    present = undefined
    clearInterval(timer)
    for (const type of ['visibilitychange', 'freeze', 'resume']) document.removeEventListener(type, changed)
    candidacy?.abort()
    leader?.resign()
  }

  /** @param {Event} event */
  function changed({ type }) {
    if (type === 'freeze') {
      isFrozen = true
      candidacy?.abort()
      leader?.resign()
    } else if (isFrozen) {
      isFrozen = false
      campaign()
    }
    leader?.showAlive()
    if (document.hidden) setTimeout(() => leader?.showAlive(), ALIVE_MS)
    look()
  }

  /** Takes over from a leader that is hidden or frozen. */
  function look() {
    if (document.hidden || leader || isFrozen) return
    if (isLeaderHidden || Date.now() - heardAt > DEAD_MS) setTimeout(takeOver, 100 * Math.random())
  }

  function takeOver() {
    if (document.hidden || leader || !members.size || !(isLeaderHidden || Date.now() - heardAt > DEAD_MS)) return
    heardAt = Date.now()
    isLeaderHidden = false
    campaign(true)
  }

  /** Waits for the lock, and leads while this tab holds it. */
  function campaign(steal = false) {
    candidacy?.abort()
    const attempt = new AbortController()
    candidacy = attempt
    /** @type {typeof leader} */
    let leading
    navigator.locks
      .request(`${place} leader`, steal ? { steal } : { signal: attempt.signal }, () => {
        const { promise, resolve } = Promise.withResolvers()
        leading = leader = lead(() => resolve(undefined))
        return promise
      })
      .catch(() => {}) // another tab has taken the lock, or this one gave up
      .then(() => {
        leading?.stop()
        if (leader === leading) leader = undefined
        if (leading && candidacy === attempt && members.size && !isFrozen) campaign()
      })
  }

  /** Tells the leader which topics this tab reads. @returns the turn that its answer names */
  function want() {
    const topics = [...members].filter(({ isChecked }) => isChecked).flatMap(({ subscription }) => subscription.topics)
    control?.postMessage({ type: 'want', tab: me, turn: ++turn, topics: members.size ? topics : undefined })
    return turn
  }

  /** Listens to what all tabs are told. @param {MessageEvent} message */
  function listen({ data }) {
    if (data.type === 'lead' && data.term > term) follow(data.term)
  }

  /** @param {number} next */
  function follow(next) {
    const isFirst = term === 0
    term = next
    heardAt = Date.now()
    isLeaderHidden = false
    if (!isFirst || waiting.length) for (const member of members) attach(member)
    else if (members.size) want()
  }

  /** Hears what the leader tells this tab. @param {MessageEvent} message */
  function hear({ data }) {
    if (data.term < term || !members.size) return
    if (data.term > term) {
      if (term) return follow(data.term)
      term = data.term
    }
    heardAt = Date.now()
    isLeaderHidden = data.isHidden
    if (data.type === 'have') {
      for (const one of waiting) if (one.turn <= data.turn) one.resolve()
      waiting = waiting.filter((one) => one.turn > data.turn)
    }
    for (const member of members) take(member, data)
    look()
  }

  /** Takes a message of the leader. @type {(member: Inside.Member, message: any) => void} */
  function take(member, { type, events, position, closed, opened, state }) {
    const { subscription } = member
    const ours = events.filter((/** @type {any} */ { topic }) =>
      subscription.topics.some((name) => matches(name, topic)),
    )
    if (member.waiting) hold(member, ours)
    else hand(member, ours)
    const isLive = !member.waiting
    if (type === 'again') attach(member)
    else if (type === 'refused' && !isLive && member.isChecked) leave(member)
    else if (type === 'closed' && subscription.topics.includes(closed.topic)) {
      if (isLive) member.tail = member.tail.then(() => subscription.topicClosed(closed))
      else member.isBehind = true // the next poll tells of it, after the events before it
    } else if (type === 'opened' && isLive) subscription.opened(opened)
    else if (type === 'state' && member.isChecked)
      subscription.enter({
        ...state,
        error: state.error && new TidingsError(state.error.code, state.error.message, state.error),
      })
    if (position && !member.waiting)
      member.tail = member.tail.then(() => {
        if (subscription.isOpen && isAfter(position, subscription.position)) subscription.position = position
      })
  }

  /** Keeps events until the program has had those before them. @type {(member: Inside.Member, events: Inside.Shared[]) => void} */
  function hold(member, events) {
    member.waiting?.push(...events)
    if (!member.waiting || member.waiting.length <= MAX_EVENTS) return
    member.waiting = []
    member.isBehind = true
  }

  /** Gives events to the program. @type {(member: Inside.Member, events: Inside.Shared[]) => void} */
  function hand(member, events) {
    if (!events.length) return
    const { subscription } = member
    member.handed += events.length
    member.tail = member.tail.then(async () => {
      for (const event of events) {
        member.handed--
        if (isAfter(event.id, subscription.position)) await subscription.deliver(event)
      }
    })
    if (member.handed > MAX_EVENTS) attach(member)
  }

  /** Holds the events of the shared stream back, and ends the requests of the subscription. @param {Inside.Member} member */
  function detach(member) {
    member.run.abort()
    member.run = new AbortController()
    member.waiting = []
    return member.run.signal
  }

  /** Reads a subscription up to the shared stream. @param {Inside.Member} member */
  async function attach(member) {
    const { subscription } = member
    const signal = detach(member)
    const isStale = () => signal.aborted || !subscription.isOpen
    await member.tail
    let lostAt = 0
    while (!isStale()) {
      try {
        // The number is that of the messages: tabs of another version do not understand them.
        place ||= `tidings 2 ${hub.base} ${typeof shared === 'string' ? shared : await credentialOf(hub)}`
        if (isStale()) return
        if (!present) arrive()
        if (!member.isChecked) {
          await readPage(member, isStale)
          if (isStale()) return
          member.isChecked = true
        }
        await present
        const asked = want()
        await new Promise((resolve) => {
          waiting.push({ turn: asked, resolve: () => resolve(undefined) })
        })
        for (;;) {
          if (isStale()) return
          member.isBehind = false
          const isLast = await readPage(member, isStale)
          if (isStale()) return
          const [next] = member.waiting ?? []
          if (!member.isBehind && (isLast || (next && !isAfter(next.id, subscription.position)))) break
        }
        const events = member.waiting ?? []
        member.waiting = undefined
        subscription.opened({ state: member.isResumed ? 'resumed' : 'live' })
        member.isResumed = true
        return hand(member, events)
      } catch (cause) {
        const error = hub.failure(cause)
        if (isStale()) return
        if (!error.isTemporary) return subscription.fail(error)
        lostAt ||= Date.now()
        const ms = (error.retryAfterMs ?? 0) + backoffMs(Date.now() - lostAt, 3000)
        subscription.enter({ state: 'reconnecting', retryInMs: ms, error })
        await sleep(ms, error.retryAfterMs !== undefined)
      }
    }
  }

  /** Asks whether the hub allows other topics, and then reads them. @type {(member: Inside.Member, topics: readonly string[]) => Promise<void>} */
  async function change(member, topics) {
    const signal = detach(member)
    member.isChecked = false
    try {
      await poll(new URLSearchParams(topics.map((topic) => ['topic', topic])), signal)
      member.isChecked = true
    } catch (cause) {
      const error = hub.failure(cause)
      if (!signal.aborted && !error.isTemporary) {
        setTimeout(() => attach(member)) // with the former topics
        throw error
      }
    }
    if (!signal.aborted) attach(member)
  }

  /** @type {(query: URLSearchParams, signal: AbortSignal) => Promise<any>} */
  async function poll(query, signal) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(POLL_MS)])
    const response = await hub.ask(query, 'application/json', limit)
    if (!response.ok) throw await hub.errorOf(response)
    return response.json()
  }

  /** Polls once. @returns whether nothing was due @type {(member: Inside.Member, isStale: () => boolean) => Promise<boolean>} */
  async function readPage(member, isStale) {
    const page = await poll(member.subscription.query, member.run.signal)
    if (isStale()) return true
    member.tail = give(member.subscription, page, isStale)
    await member.tail
    return !page.events.length
  }

  /** Gives a page to the program, until it is stale. @type {(subscription: Inside.Sink, page: any, isStale: () => boolean) => Promise<void>} */
  async function give(subscription, { events, position, gaps = [], closed = [], ended = [] }, isStale) {
    for (const gap of gaps) await subscription.gap(gap)
    for (const event of events) {
      if (isStale()) return
      await subscription.deliver(event)
    }
    if (isStale()) return
    subscription.position = position
    for (const topic of closed) {
      const end = ended.find((/** @type {any} */ one) => one.topic === topic)
      subscription.topicClosed({ topic, outcome: undefined, ...end })
    }
  }

  /** Waits, and no longer than until the runtime wakes up unless the hub has told how long. @type {(ms: number, isTold: boolean) => Promise<void>} */
  function sleep(ms, isTold) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(pause)
        sleepers.delete(wake)
        resolve()
      }
      const pause = setTimeout(wake, ms)
      if (!isTold) sleepers.add(wake)
    })
  }

  /** A subscription that the shared stream cannot serve gets its own. @param {Inside.Member} member */
  async function leave(member) {
    remove(member)
    await member.tail
    member.own = await own(member.subscription)
    if (!member.subscription.isOpen) member.own.stop()
  }

  /** @param {Inside.Member} member */
  function remove(member) {
    member.run.abort()
    if (!members.delete(member)) return
    if (members.size) want()
    else depart()
  }

  /** Leads the tabs until `stop`. @param {() => void} resign */
  function lead(resign) {
    const ownTerm = Math.max(Date.now(), term + 1)
    const channel = new BroadcastChannel(place)
    const ended = new AbortController()
    /** @type {Map<string, Inside.Tab>} */
    const tabs = new Map()
    const flushing = new MessageChannel()
    /** @type {Inside.Sink | undefined} */
    let stream
    let isUpdating = false
    let isOutdated = false
    let opened = Promise.withResolvers()

    /** Posts a message, and before it the events that wait for the tab. @param {Inside.Tab} tab @param {object} message */
    function post(tab, message) {
      const { channel, events, isGone } = tab
      tab.events = []
      if (!isGone) channel.postMessage({ term: ownTerm, isHidden: isHidden(), events, ...message })
    }
    /** @param {object} message */
    const postAll = (message) => {
      for (const tab of tabs.values()) post(tab, message)
    }
    const showAlive = () => postAll({ type: 'alive', position: stream?.position })
    const alive = setInterval(showAlive, ALIVE_MS)
    let hiddenAt = 0
    function isHidden() {
      if (!document.hidden) hiddenAt = 0
      else hiddenAt ||= Date.now()
      return hiddenAt > 0 && Date.now() - hiddenAt >= ALIVE_MS
    }
    let isFlushing = false
    flushing.port1.onmessage = () => {
      isFlushing = false
      for (const tab of tabs.values()) if (tab.events.length) post(tab, { type: 'alive', position: stream?.position })
    }

    channel.onmessage = ({ data }) => {
      if (data.type !== 'want') return
      if (!data.topics) return forget(data.tab)
      const known = tabs.get(data.tab)
      const tab = known ?? { channel: new BroadcastChannel(`${place} ${data.tab}`), topics: [], turn: 0, events: [] }
      Object.assign(tab, { topics: data.topics, turn: data.turn })
      tabs.set(data.tab, tab)
      // A closed topic that a tab names may be open again.
      stream?.closed.clear()
      // The lock is free once the tab is gone.
      if (!known)
        navigator.locks
          .request(`${place} ${data.tab}`, { signal: ended.signal }, () => forget(data.tab))
          .catch(() => {})
      update()
    }

    /** @param {string} name */
    function forget(name) {
      const tab = tabs.get(name)
      if (!tab) return
      tab.isGone = true
      tab.channel.close()
      tabs.delete(name)
      update()
    }

    /** Makes the stream read what all tabs want, and tells them. */
    async function update() {
      isOutdated = true
      if (isUpdating) return
      isUpdating = true
      while (isOutdated && !ended.signal.aborted) {
        isOutdated = false
        const asked = [...tabs.values()].map((tab) => ({ tab, turn: tab.turn }))
        const topics = [...new Set(asked.flatMap(({ tab }) => tab.topics))]
        try {
          await read(topics)
          for (const { tab, turn } of asked) post(tab, { type: 'have', turn })
        } catch {
          for (const { tab } of asked) post(tab, { type: 'refused' })
        }
      }
      isUpdating = false
    }

    /** Resolves when the live stream reads these topics. @param {string[]} topics */
    async function read(topics) {
      if (!topics.length) return stream?.close()
      const isSame =
        stream && topics.length === stream.topics.length && topics.every((topic) => stream?.topics.includes(topic))
      if (stream?.isOpen && isSame) return
      opened = Promise.withResolvers()
      opened.promise.catch(() => {})
      if (stream?.isOpen) {
        if (!(await stream.change(topics))) await opened.promise
        return
      }
      stream = open(topics, {
        onEvent(event) {
          for (const tab of tabs.values())
            if (tab.topics.some((name) => matches(name, event.topic))) tab.events.push(event)
          // A timer would be slow in a hidden tab.
          if (!isFlushing) flushing.port2.postMessage(0)
          isFlushing = true
        },
        onGap: () => postAll({ type: 'again' }),
        onClosed(closed) {
          for (const tab of tabs.values()) if (tab.topics.includes(closed.topic)) post(tab, { type: 'closed', closed })
        },
        onOpen(state) {
          opened.resolve(undefined)
          postAll({ type: 'opened', opened: state })
        },
        onState(state) {
          if (state.state === 'failed') {
            opened.reject(state.error)
            postAll({ type: 'again' })
          }
          if (state.state === 'closed') opened.resolve(undefined)
          if (state.state !== 'reconnecting') return
          const { code, message, status } = state.error ?? {}
          postAll({ type: 'state', state: { ...state, error: code && { code, message, status } } })
        },
      })
      await opened.promise
    }

    channel.postMessage({ type: 'lead', term: ownTerm })
    return {
      resign,
      showAlive,
      /** @param {boolean} isOnline */
      wake: (isOnline) => stream?.wake(isOnline),
      stop() {
        ended.abort()
        clearInterval(alive)
        stream?.close()
        flushing.port1.close()
        channel.close()
        for (const tab of tabs.values()) tab.channel.close()
      },
    }
  }

  return (subscription) => {
    /** @type {Inside.Member} */
    const member = { subscription, run: new AbortController(), tail: Promise.resolve(), waiting: [], handed: 0 }
    members.add(member)
    attach(member)
    return {
      change: async (topics) => (member.own ? member.own.change(topics) : change(member, topics)),
      wake(isOnline) {
        member.own?.wake(isOnline)
        leader?.wake(isOnline)
        for (const wake of sleepers) wake()
      },
      stop() {
        member.own?.stop()
        remove(member)
      },
    }
  }
}

/** Whether a position is behind another one. Those of different logs cannot be compared. @type {(id: string | undefined, before: string | undefined) => boolean} */
function isAfter(id = '', before = '') {
  const [epoch, seq] = split(id)
  const [epochBefore, seqBefore] = split(before)
  return epoch !== epochBefore || Number(seq) > Number(seqBefore)
}

/** @param {string} id */
function split(id) {
  const at = id.lastIndexOf('-')
  return [id.slice(0, at), id.slice(at + 1)]
}

/** What a token allows and to whom, hashed: the next token of the same person has the same name. @param {Inside.Hub} hub */
async function credentialOf(hub) {
  const token = await hub.tokenOf()
  if (!token) return hub.ticket ? 'ticket' : 'cookie'
  let text = token
  try {
    const payload = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/')
    const { exp, iat, nbf, jti, ...lasting } = JSON.parse(atob(payload))
    text = JSON.stringify(lasting)
  } catch {
    // It is an API key.
  }
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
