import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { vi } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { createApp } from '../../src/app.ts'
import { Auth } from '../../src/auth/auth.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { Subscription } from '../../src/hub/subscription.ts'
import type { Log, Retention } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { nextTurn } from '../../src/turn.ts'
import { SECRET, token } from './suite.ts'

/** Topics with names that no text of the hub contains: a name found in an answer is a topic. */
export const TOPICS = [
  'quince',
  'birch',
  'maple/red',
  'maple/silver',
  'maple/old/gnarled',
  'willow',
  'willow/weeping',
] as const
/** Topics that are never published to, one for each number of segments. */
export const ABSENT = ['larch', 'larch/never', 'larch/never/was', 'larch/never/was/here'] as const
/** The names that foreign topics have in a second world. */
export const OTHERS = ['cedar', 'cedar/blue', 'spruce/sitka/tall', 'maple/black', 'willow/white'] as const
/** The hub's own topics that may exist. */
const OWN = ['$store', '$tickets', '$secrets/tickets', '$revoked/jti/x', '$revoked/sub/x']
/** Topics that nobody may read, whatever is granted. */
const KEPT = ['$secrets', '$tickets']

/** A topic that clients without credentials may read. */
export const ANONYMOUS = 'willow'

/**
 * Whether a pattern or a topic matches a topic. Written from the guide of the routes, without code of src: `*` stands for one segment, a
 * last `**` for one or more, and the hub's own topics match only by the name of their first segment.
 */
export function matches(pattern: string, topic: string): boolean {
  if (ownerOf(pattern) !== ownerOf(topic)) return false
  const segments = pattern.split('/').map((segment) => {
    if (segment === '**') return '[^/]+(?:/[^/]+)*'
    return segment === '*' ? '[^/]+' : RegExp.escape(segment)
  })
  return new RegExp(`^${segments.join('/')}$`).test(topic)
}

function ownerOf(name: string): string | undefined {
  return name.startsWith('$') ? name.split('/')[0] : undefined
}

export function mayRead(granted: readonly string[], topic: string): boolean {
  return !KEPT.includes(topic.split('/')[0]!) && granted.some((pattern) => matches(pattern, topic))
}

/** Whether one granted pattern covers every topic that a name matches. Tries every topic of up to four of the segments in use. */
export function mayAsk(granted: readonly string[], asked: string, action: 'publish' | 'subscribe' = 'subscribe') {
  if (action === 'subscribe' && KEPT.includes(asked.split('/')[0]!)) return false
  if (!asked.includes('*')) return granted.some((pattern) => matches(pattern, asked))
  const wanted = [...reach(asked)]
  return granted.some((pattern) => wanted.every((topic) => reach(pattern).has(topic)))
}

const reaches = new Map<string, ReadonlySet<string>>()

function reach(pattern: string): ReadonlySet<string> {
  const known = reaches.get(pattern)
  if (known) return known
  const found = new Set(UNIVERSE.filter((topic) => matches(pattern, topic)))
  reaches.set(pattern, found)
  return found
}

const SEGMENTS = [...new Set([...TOPICS, ...OTHERS].flatMap((topic) => topic.split('/')))]
const UNIVERSE = [
  ...[1, 2, 3, 4].flatMap((length) => combinations(length, length < 4 ? SEGMENTS : SEGMENTS.slice(0, 6))),
  ...OWN.flatMap((topic) => [topic, `$topics/${topic}`]),
  ...[...TOPICS, ...OTHERS, ...ABSENT].map((topic) => `$topics/${topic}`),
]

function combinations(length: number, segments: readonly string[]): string[] {
  if (length === 1) return [...segments]
  return combinations(length - 1, segments).flatMap((start) => segments.map((segment) => `${start}/${segment}`))
}

/** The topics that a text names, including those of other worlds. */
export function topicsIn(text: string): string[] {
  const names: readonly string[] = [...TOPICS, ...OTHERS]
  return [...new Set(text.match(/[a-z]+(?:(?:\/|%2F)[a-z]+)*/gi) ?? [])]
    .map((name) => name.replaceAll('%2F', '/').replace(/^topics\//, ''))
    .filter((name) => names.includes(name))
}

/** A token and its claims, or no credentials. */
export interface Credential {
  /** Missing for a client without credentials. */
  readonly text?: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  readonly sub?: string
  readonly jti?: string
  /** In ms since 1970. */
  readonly issuedAt: number
  readonly expiresAt: number
}

/** Opens a stream in place of a token; its cookie then opens the next streams of that token. */
export interface Ticket {
  readonly text: string
  readonly credential: Credential
  cookie: string | undefined
}

/** A person, and the claims of their tokens. */
export interface Person {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  readonly sub: string | undefined
  readonly hasId: boolean
  /** The lifetime of a token; 0 for a person without credentials. */
  readonly lifeS: number
}

/** Who acts, and with which token: `good` their last token if that is still valid, `old` their last token in any case, else a new token. */
export interface By {
  readonly person: number
  readonly shows: 'good' | 'old' | 'fresh'
}

/** People, their tokens, and which of these were revoked. */
export class Cast {
  readonly #people: readonly Person[]
  readonly #credentials = new Map<Person, Credential>()
  readonly #revoked = { jti: new Set<string>(), sub: new Map<string, number>() }
  #made = 0

  constructor(people: readonly Person[]) {
    this.#people = people
  }

  async credentialOf({ person, shows }: By): Promise<Credential> {
    const one = this.#people[person % this.#people.length]!
    const known = this.#credentials.get(one)
    const isGood = known && Date.now() < known.expiresAt && !this.isRevoked(known)
    if (known && (shows === 'old' || (shows === 'good' && isGood))) return known
    const made = await this.#make(one)
    this.#credentials.set(one, made)
    return made
  }

  async #make({ publish, subscribe, sub, hasId, lifeS }: Person): Promise<Credential> {
    if (lifeS === 0) return { publish: [], subscribe: [ANONYMOUS], issuedAt: 0, expiresAt: Number.POSITIVE_INFINITY }
    const iat = Math.floor(Date.now() / 1000)
    const exp = iat + lifeS
    const names = { ...(sub !== undefined && { sub }), ...(hasId && { jti: `token-${++this.#made}` }) }
    const text = await token({ publish, subscribe }, { iat, exp, ...names })
    return { text, publish, subscribe, ...names, issuedAt: 1000 * iat, expiresAt: 1000 * exp }
  }

  revoke(what: { readonly jti?: string; readonly sub?: string }): void {
    if (what.jti !== undefined) this.#revoked.jti.add(what.jti)
    if (what.sub !== undefined) this.#revoked.sub.set(what.sub, Date.now())
  }

  isRevoked({ jti, sub, issuedAt }: Credential): boolean {
    const at = sub === undefined ? undefined : this.#revoked.sub.get(sub)
    return (jti !== undefined && this.#revoked.jti.has(jti)) || (at !== undefined && issuedAt <= at)
  }

  /** The statuses that an answer may have. A token may be accepted for some seconds after its expiry, because clocks differ. */
  statuses(credential: Credential, isGranted: boolean): readonly number[] {
    const refused = credential.text === undefined ? [401] : [403]
    const answers = isGranted ? [200, 204, 404, 409] : refused
    if (this.isRevoked(credential) || Date.now() >= credential.expiresAt + 6000) return [401]
    return Date.now() >= credential.expiresAt - 1000 ? [401, ...answers] : answers
  }
}

/** A published message, and its position. */
interface Said {
  readonly topic: string
  readonly event: string | undefined
  seq?: number
  /** Whether the message is the last of its batch, so that its position is that of a reader that has everything. */
  isHead?: boolean
}

export interface Saying {
  readonly topic: string
  readonly event?: string
  readonly close?: boolean
}

export interface Setting {
  readonly log: 'memory' | 'sqlite'
  /** Turns of the event loop that the log waits before a read and again before its answer, like a disk or a network. */
  readonly lag: number
  readonly windowCount: number
  readonly retention: Retention
  /** The number of empty topics whose last trimmed position the log remembers. Gaps of forgotten topics are not exact. */
  readonly trimmedCount: number
}

/** How late the hub may end a stream: one tick of its clock, and half a tick of the test's. */
const LATE_MS = 300

/** A log that pauses before it reads, and again before it answers. */
function late(log: Log, pause: () => Promise<void>): Log {
  const around = async <T>(call: () => Promise<T>) => {
    await pause()
    const result = await call()
    await pause()
    return result
  }
  return {
    ...log,
    read: (...given) => around(() => log.read(...given)),
    seek: (...given) => around(() => log.seek(...given)),
    topics: (query) => around(() => log.topics(query)),
  }
}

/** One hub, an admin who may do everything, the listeners, and a record of all faults. */
export class World {
  readonly faults: string[] = []
  readonly listeners: Listener[] = []
  /** The name of a topic in this world. */
  nameOf: (topic: number) => string = (topic) => TOPICS[topic]!
  /** Text that is appended to the data of every message of a topic. */
  accentOf: (topic: string) => string = () => ''
  /** How the log waits before a read, and again before its answer. */
  pause: () => Promise<void>
  /** Turns of the event loop after which everything due has arrived: a read of the log takes one, or more if it lags. */
  readonly idle: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-'))
  readonly #hub: Hub
  readonly #app: ReturnType<typeof createApp>
  readonly #said = new Map<number, Said>()
  readonly #places = new Map<number, Said>()
  #checks: (() => void)[] = []
  #admin = ''
  #serial = 0
  #epoch = ''

  private constructor({ log, lag, windowCount, retention, trimmedCount }: Setting) {
    const config = parseConfig({ AUTH_SECRET: SECRET, ANONYMOUS_SUBSCRIBE: ANONYMOUS, MAX_READERS_PER_TOKEN: '10000' })
    const options = { ...config.logOptions, retention, trimmedCount }
    this.idle = 20 + 4 * lag
    this.pause = () => turns(lag)
    const open = () => (log === 'memory' ? memoryLog(options) : openSqlite(join(this.#folder, 'hub.db'), options))
    this.#hub = new Hub(
      () => late(open(), () => this.pause()),
      // Chunks hold a frame or two, and streams end only for the reasons that are tested.
      { ...config.hub, windowCount, maxChunkBytes: 60, replayRate: 1e9, lifetimeMs: 1e9, stallMs: 1e9 },
    )
    this.#app = createApp({ hub: this.#hub, config, auth: new Auth(this.#hub, config.auth) })
  }

  static async open(setting: Setting): Promise<World> {
    const world = new World(setting)
    world.#admin = await token(
      { publish: ['**', '$store', '$revoked', '$topics/**'], subscribe: ['**', '$store', '$revoked/**'] },
      { sub: 'admin', exp: Math.floor(Date.now() / 1000) + 24 * 3600 },
    )
    world.#epoch = (await world.head()).split('-')[0]!
    return world
  }

  async close(): Promise<void> {
    await this.#hub.close()
    rmSync(this.#folder, { recursive: true })
  }

  /** Sends a request with somebody's credentials. */
  async ask(path: string, { text }: { readonly text?: string }, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    if (text !== undefined && !headers.has('cookie')) headers.set('authorization', `Bearer ${text}`)
    if (typeof init.body === 'string' && !headers.has('content-type')) headers.set('content-type', 'application/json')
    return this.#app.request(path, { ...init, headers })
  }

  admin(path: string, init?: RequestInit): Promise<Response> {
    return this.ask(path, { text: this.#admin }, init)
  }

  /** The position of the newest entry of any topic. */
  async head(): Promise<string> {
    const response = await this.admin('/event?topic=**', { headers: { accept: 'application/json' } })
    return ((await response.json()) as { position: string }).position
  }

  async publish(sayings: readonly Saying[]): Promise<Response> {
    const batch = sayings.map((saying) => ({ ...saying, data: this.note(saying) }))
    const response = await this.admin('/send', { method: 'POST', body: JSON.stringify(batch) })
    if (response.status === 200)
      this.place(
        batch.map(({ data }) => data),
        ((await response.clone().json()) as { ids: string[] }).ids,
      )
    return response
  }

  /** The data of a message: its topic and a serial number. */
  note({ topic, event }: Saying): string {
    this.#said.set(++this.#serial, { topic, event })
    return `${topic}#${this.#serial}${this.accentOf(topic)}`
  }

  place(data: readonly string[], ids: readonly string[]): void {
    for (const [i, text] of data.entries()) {
      const said = this.#said.get(serialOf(text)!)!
      said.seq = seqOf(ids[i]!)
      said.isHead = i === data.length - 1
      this.#places.set(said.seq, said)
    }
  }

  /** The message that was published `back` messages before the newest. */
  newest(back: number): { readonly topic: string; readonly id: string } | undefined {
    const said = [...this.#places.values()].at(-1 - back)
    return said && { topic: said.topic, id: this.idOf(said.seq!) }
  }

  idOf(seq: number): string {
    return `${this.#epoch}-${seq}`
  }

  said(serial: number): Said | undefined {
    return this.#said.get(serial)
  }

  at(seq: number): Said | undefined {
    return this.#places.get(seq)
  }

  /** Defers a check until everything published has its position. */
  later(check: () => void): void {
    this.#checks.push(check)
  }

  /** Runs the deferred checks, and returns all faults. */
  judged(): readonly string[] {
    for (const check of this.#checks.splice(0)) check()
    return this.faults
  }

  /** A text without its random parts, so that it can be compared with that of another world. */
  plain(text: string): string {
    const streams = this.listeners.map(({ subscription }) => subscription?.stream)
    return text
      .replaceAll(this.#epoch, 'EPOCH')
      .replace(/[0-9a-f]{32}/g, (name) => `STREAM-${streams.indexOf(name)}`)
      .replace(/^retry: \d{5}$/gm, 'retry: RANDOM')
      .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'JWT')
  }
}

export function serialOf(data: string): number | undefined {
  const [, serial] = /#(\d+)/.exec(data) ?? []
  return serial === undefined ? undefined : Number(serial)
}

function seqOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('-') + 1))
}

/** What a listener may receive: topics that match these names and that this credential may read. */
interface Terms {
  readonly credential: Credential
  readonly names: readonly string[]
}

/** The listener whose subscription is being opened. */
let opening: Listener | undefined
const listeners = new WeakMap<Subscription, Listener>()

/**
 * Reports every chunk and every renewal to the listener at once. Between a subscription and its reader is a pipe that holds
 * some chunks, and a chunk must be allowed by the grant at the moment it enters the pipe.
 */
export function tap(): void {
  const { read, renew } = Subscription.prototype
  vi.spyOn(Subscription.prototype, 'renew').mockImplementation(function (this: Subscription, expiresAt) {
    renew.call(this, expiresAt)
    listeners.get(this)?.prolong(expiresAt)
  })
  vi.spyOn(Subscription.prototype, 'read').mockImplementation(function (this: Subscription) {
    if (opening && !listeners.has(this)) {
      listeners.set(this, opening)
      opening.begin(this)
    }
    const bytes = read.call(this)
    if (bytes) listeners.get(this)?.hand(bytes)
    return bytes
  })
}

/** One request to `/event`, and everything received from it. */
export class Listener {
  readonly world: World
  readonly asked: Asked
  readonly ticket: Ticket | undefined
  readonly names: readonly string[]
  readonly isPoll: boolean
  /** Whether the frames hold envelopes. Those of a poll do. */
  readonly isEnveloped: boolean
  /** Whether the request has `since`: the stream then begins at the head of that time, which may be the position of any entry. */
  readonly isSince: boolean
  terms: readonly Terms[]
  subscription: Subscription | undefined
  status = 0
  /** The cookie of the answer. */
  cookie: string | undefined
  /** Whether the stream had to end, so that nothing may be handed to it any more. */
  isOver = false
  endsAt: number
  handed = ''
  received = ''
  isEnded = false
  readonly repeats: boolean
  readonly #asked: number | undefined
  readonly #past: Terms[] = []
  readonly #events: EventSourceMessage[] = []
  readonly #parser = createParser({ onEvent: (event) => this.#judge(event) })
  readonly #decoder = new TextDecoder()
  #body: ReadableStreamDefaultReader<Uint8Array> | undefined
  #pending: Promise<void> | undefined
  #lastEventId: string | undefined
  #position: string | undefined

  constructor(world: World, credential: Credential, asked: Asked, ticket: Ticket | undefined) {
    this.world = world
    this.asked = asked
    this.ticket = ticket
    this.names = asked.names.length > 0 ? asked.names : ['$store']
    this.terms = [{ credential, names: this.names }]
    this.endsAt = endOf(credential)
    this.isPoll = asked.polls
    this.isEnveloped = asked.polls || asked.query.includes('envelope=true')
    this.isSince = asked.query.includes('since=')
    this.repeats = asked.names.length === 0 || asked.query.includes('repeat=')
    const isOurs = asked.lastEventId !== undefined && asked.lastEventId === world.idOf(seqOf(asked.lastEventId))
    this.#asked = isOurs ? seqOf(asked.lastEventId!) : undefined
    world.listeners.push(this)
  }

  get credential(): Credential {
    return this.terms.at(-1)!.credential
  }

  /** The Last-Event-ID that a browser would send when it reconnects. */
  get lastEventId(): string | undefined {
    return this.#position || this.#lastEventId
  }

  /** Notes the subscription. A token that ended during the opening ends the stream a moment later. */
  begin(subscription: Subscription): void {
    this.subscription = subscription
    this.endsAt = endOf(this.credential)
  }

  /** Sets `isOver` once `endsAt` has come. */
  look(): void {
    if (Date.now() >= this.endsAt) this.isOver = true
  }

  /** Moves `endsAt` at the moment the hub moves the end; the answer to the renewal may come later. */
  prolong(expiresAt = Number.POSITIVE_INFINITY): void {
    this.look()
    this.endsAt = endOf({ expiresAt })
  }

  /** Replaces the terms. */
  renew(terms: Terms): void {
    this.#past.push(...this.terms)
    this.terms = [terms]
  }

  /** Resolves with the answer, or with nothing if the request waits for events. */
  async open(ask: () => Promise<Response>): Promise<Response | undefined> {
    opening = this
    let response: Response | undefined
    const answer = ask().then((given) => {
      response = given
      return this.#answered(given)
    })
    try {
      for (let idle = 0; !response && idle < this.world.idle; await nextTurn()) if (this.subscription) idle++
    } finally {
      opening = undefined
    }
    if (response) await answer
    else this.#pending = answer
    return response
  }

  async #answered(response: Response): Promise<void> {
    this.status = response.status
    this.cookie = response.headers.get('set-cookie')?.split(';')[0]
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
      this.#body = response.body!.getReader()
      return
    }
    this.isEnded = true
    if (response.status !== 200) return
    const polled = (await response.clone().json()) as Polled
    this.received = JSON.stringify(polled)
    this.#judgePolled(polled)
  }

  /** Reads up to this many chunks; fewer when no more arrive. */
  async take(chunks: number): Promise<string> {
    const before = this.received.length
    for (let taken = 0; taken < chunks && !this.isEnded; taken++) {
      this.#pending ??= this.#next()
      if (!(await isDone(this.#pending, this.world.idle))) break
      this.#pending = undefined
    }
    return this.received.slice(before)
  }

  async #next(): Promise<void> {
    const { done, value } = await this.#body!.read()
    if (done) this.isEnded = true
    else this.#receive(value)
  }

  #receive(bytes: Uint8Array): void {
    this.received += this.#decoder.decode(bytes, { stream: true })
    const [, id] = [...this.received.matchAll(/^id: (.*)\n\n/gm)].at(-1) ?? []
    this.#lastEventId = id ?? this.#lastEventId
    if (!this.handed.startsWith(this.received)) this.#fault('It received bytes that it was not handed', this.received)
  }

  /** Disconnects, and resolves when the hub has noticed. */
  async leave(): Promise<void> {
    this.#body?.cancel().catch(() => {})
    this.isEnded = true
    await turns(this.world.idle)
  }

  /** Called by `tap` with each chunk. */
  hand(bytes: Uint8Array): void {
    const text = new TextDecoder().decode(bytes)
    this.handed += text
    this.look()
    this.#parser.feed(text)
  }

  #judge({ event = 'message', data: text, id }: EventSourceMessage): void {
    const { terms } = this
    const data = this.isEnveloped && !event.startsWith('hub.') ? this.#unwrap(text) : text
    this.#events.push({ event, data, id })
    const said = JSON.stringify({ event, data, id })
    if (this.isOver && event !== 'hub.ending') this.#fault('It was handed something after its end', said)
    const topics = topicsIn(`${event} ${text} ${id}`)
    for (const topic of topics) if (!isDue(topic, terms)) this.#fault(`It learned of ${topic}`, said)
    if (event.startsWith('hub.')) this.#judgeControl(event, data, id, terms)
    else this.#judgeEntry(event, data, id)
  }

  /** The data in an envelope, which must name the topic of its entry. */
  #unwrap(text: string): string {
    const { topic, data } = JSON.parse(text) as { topic: string; data: string }
    if (serialOf(data) !== undefined && !data.startsWith(`${topic}#`)) this.#fault('Its envelope is wrong', text)
    return data
  }

  #judgeControl(event: string, data: string, id: string | undefined, terms: readonly Terms[]): void {
    const said = `${event} ${data} ${id}`
    // After a renewal a stream continues from its position, which may be that of an entry of its former terms.
    const ever = [...this.#past, ...terms]
    const place = (of: string, what: string, those: readonly Terms[]) =>
      this.world.later(() => {
        if (!this.#isPlace(seqOf(of), those)) this.#fault(`${what} is the position of a foreign entry`, said)
      })
    if (id !== undefined && !this.isSince) place(id, 'Its id', ever)
    if (event !== 'hub.gap') return
    const gap = JSON.parse(data) as Gap
    place(gap.to, 'The end of its gap', terms)
    if (gap.reason !== 'conflated' && !(gap.reason === 'trimmed' && gap.exact)) return
    this.world.later(() => {
      if (!this.#isOf(seqOf(gap.to), terms)) this.#fault('Its exact gap ends at a foreign entry', said)
    })
  }

  /** Whether a position is harmless: sent by the listener, at or just before an entry that may be known, or the hub's head at some time. */
  #isPlace(seq: number, terms: readonly Terms[]): boolean {
    const at = this.world.at(seq)
    if (seq === 0 || seq === this.#asked || !at || at.isHead) return true
    return this.#isOf(seq, terms) || this.#isOf(seq + 1, terms)
  }

  /** Whether the listener may know the entry at a seq. An entry that nobody published belongs to the hub's own topics. */
  #isOf(seq: number, terms: readonly Terms[]): boolean {
    const said = this.world.at(seq)
    return said ? isDue(said.topic, terms) : OWN.some((topic) => isDue(topic, terms))
  }

  #judgeEntry(event: string, data: string, id: string | undefined): void {
    const said = JSON.stringify({ event, data, id })
    const serial = serialOf(data)
    if (serial === undefined) {
      this.#judgeOwn(data, said)
      return
    }
    if (id === undefined && !this.repeats) this.#fault('It was handed an event without an id', said)
    this.world.later(() => {
      const known = this.world.said(serial)
      const isTrue = known && data.startsWith(`${known.topic}#`) && event === (known.event ?? 'message')
      if (!isTrue || (id !== undefined && id !== this.world.idOf(known.seq!)))
        this.#fault('It was handed an event that was never published', said)
    })
  }

  /** Judges an entry of the hub's own topics. */
  #judgeOwn(data: string, said: string): void {
    const value = data.startsWith('{') ? (JSON.parse(data) as object) : {}
    const topic = 'timestamp' in value ? '$store' : 'jti' in value ? '$revoked/jti/x' : '$revoked/sub/x'
    if (!isDue(topic, this.terms)) this.#fault(`It learned of ${topic}`, said)
  }

  /** Expects a poll's answer to hold what the frames said, and nothing else. */
  #judgePolled({ events, position, gaps = [], closed = [] }: Polled): void {
    this.#position = position
    const heard = this.#events.map(({ event, data, id }) => JSON.stringify({ id, event, data }))
    for (const { id, event, data } of events)
      if (!heard.includes(JSON.stringify({ id, event, data }))) this.#fault('Its poll has an event of no frame', data)
    const told = this.#events.filter(({ event }) => event === 'hub.gap').map(({ data }) => data)
    if (gaps.map((gap) => JSON.stringify(gap)).join() !== told.join())
      this.#fault('Its poll has other gaps than the frames', JSON.stringify(gaps))
    for (const topic of closed)
      if (!isDue(topic, this.terms)) this.#fault(`It learned of ${topic}`, JSON.stringify(closed))
    const { terms } = this
    this.world.later(() => {
      if (position !== '' && !this.isSince && !this.#isPlace(seqOf(position), terms))
        this.#fault('Its position is that of a foreign entry', position)
    })
  }

  #fault(what: string, said: string): void {
    const terms = this.terms.map(({ names, credential }) => ({ names, ...credential, text: undefined }))
    this.world.faults.push(`${what}: ${said} for ${JSON.stringify(terms)}`)
  }
}

/** The parameters of a request to `/event`. */
export interface Asked {
  /** Topics and patterns; empty for the demo stream. */
  readonly names: readonly string[]
  readonly query: string
  readonly lastEventId: string | undefined
  readonly polls: boolean
}

interface Gap {
  readonly reason: string
  readonly to: string
  readonly exact: boolean
}

interface Polled {
  readonly events: readonly { readonly id?: string; readonly event: string; readonly data: string }[]
  readonly position: string
  readonly gaps?: readonly Gap[]
  readonly closed?: readonly string[]
}

function isDue(topic: string, terms: readonly Terms[]): boolean {
  return terms.some(
    ({ credential, names }) =>
      mayRead(credential.subscribe, topic) && names.some((name) => name === topic || matches(name, topic)),
  )
}

function endOf({ expiresAt }: Pick<Credential, 'expiresAt'>): number {
  return Math.max(expiresAt, Date.now()) + LATE_MS
}

async function isDone(promise: Promise<void>, idle: number): Promise<boolean> {
  let done = false
  promise.then(() => {
    done = true
  })
  for (let turns = 0; turns < idle && !done; turns++) await nextTurn()
  return done
}

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn()
}
