import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { chromium } from '../browser/chromium.ts'
import { runs } from '../seed.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { type Client, clients, type Heard, type Listening } from './clients.ts'
import { differences, shown } from './differences.ts'
import { eventBytes, examples, MAX_EVENT_BYTES, type Message, randomMessages, toLines } from './messages.ts'

const COUNT = runs(600, 100_000)
const TIMEOUT_MS = runs(60_000, 900_000)
/** A client that gets nothing for this long will get nothing more. */
const SILENCE_MS = runs(5000, 30_000)
/** Messages are published in lists of these lengths in turn. A list of more than `MAX_LIST_CHARS` characters gets shorter. */
const LISTS = [1, 2, 10, 100]
const MAX_LIST_CHARS = 2 ** 20

const settings = {
  MAX_BODY_BYTES: '8MiB', // so that this limit does not interfere: in JSON a NUL takes six bytes
  WINDOW_COUNT: '100', // so few that a slightly slow client reads from the file
  STALL: '10m',
  LIFETIME: '2h',
}

interface Answered {
  readonly message: Message
  readonly status: number
  readonly id: string
  readonly detail?: string
}

const byteLength = (text: string) => Buffer.byteLength(text)

/** The expected status: refused are ill-formed UTF-16, invalid or reserved names, and events that are too long. */
function statusFor({ data, event = 'message' }: Message): number {
  if (/\p{Surrogate}/u.test(data)) return 400
  if (event === '' || /[\p{Surrogate}\p{Control}]/u.test(event) || byteLength(event) > 200) return 400
  if (event === 'open' || event === 'error' || event.startsWith('hub.') || event.startsWith('\ufeff')) return 400
  if (eventBytes({ data, event }) > MAX_EVENT_BYTES) return 413
  return 200
}

const isAcceptable = (message: Message) => statusFor(message) === 200

describe('random events of any Unicode', () => {
  const present = clients.filter(({ missing }) => !missing)
  const messages = [...examples, ...randomMessages(COUNT)]
  let answers: Answered[] = []
  /** The accepted events, as every client should receive them. */
  let accepted: Heard[] = []
  let live: Map<Client, Heard[]>
  let replayed: Map<Client, Heard[]>

  beforeAll(async () => {
    const log = `sqlite:${folder()}/hub.db`
    const server = await start({ ...settings, LOG: log })
    const began = performance.now()
    live = await hear(server, '', async () => {
      answers = await publish(server, messages)
      accepted = answers
        .filter(({ status }) => status === 200)
        .map(({ message: { event = 'message', data }, id }) => [event, toLines(data), id])
    })
    const heard = performance.now()
    await server.kill('SIGTERM')
    // A new process, which knows only what is in the file.
    const next = await start({ ...settings, LOG: log })
    const restarted = performance.now()
    replayed = await hear(next, `&lastEventId=${accepted[0]?.[2]}`)
    const seconds = (from: number, to: number) => `${((to - from) / 1000).toFixed(1)} s`
    console.log(
      `${messages.length} random events and examples: ${accepted.length} accepted, ${counted(400)} refused with 400, ${counted(413)} with 413; ` +
        `published to ${present.length} clients in ${seconds(began, heard)}, read again in ${seconds(restarted, performance.now())}`,
    )
  }, TIMEOUT_MS)
  afterAll(async () => {
    await chromium.quit()
    await cleanUp()
  })

  const counted = (status: number) => answers.filter((answered) => answered.status === status).length

  /** What each client receives of the topic, up to the last accepted event. */
  async function hear(server: Server, query: string, meanwhile = async () => {}): Promise<Map<Client, Heard[]>> {
    const url = `${server.url}/event?topic=any${query}`
    const said = new Set(messages.filter(isAcceptable).map(({ event = 'message' }) => event))
    const names = ['hub.open', 'hub.gap', 'hub.checkpoint', 'hub.closed', ...said]
    const streams = await Promise.all(present.map((client) => client.listen(url, names)))
    await vi.waitFor(async () => expect(await server.readers()).toBe(present.length), 30_000)
    await meanwhile()
    const heard = await Promise.all(streams.map((stream) => upTo(accepted.at(-1)?.[2], stream)))
    for (const stream of streams) await stream.close()
    return new Map(present.map((client, i) => [client, heard[i]!]))
  }

  test('are refused only for text that no stream can carry, too much data or an invalid name', () => {
    const surprises = answers.filter(({ message, status }) => status !== statusFor(message))
    const told = surprises.map(({ message: { data, event = 'message' }, ...answer }) => [
      shown([event, data, '']),
      answer,
    ])
    expect(told.slice(0, 10)).toEqual([])
    expect(answers.length).toBe(messages.length)
    expect(Math.min(counted(400), counted(413))).toBeGreaterThan(0)
    expect(accepted.length).toBeGreaterThan(messages.length / 2)
  })

  describe.each(clients)('$name', (client) => {
    test('receives exactly the accepted events while they are published', ({ skip }) => {
      skip(Boolean(client.missing), client.missing)
      expectSame(client, live.get(client)!, 'live', accepted)
    })

    test('receives exactly the same events from the log of a restarted hub', ({ skip }) => {
      skip(Boolean(client.missing), client.missing)
      expectSame(client, replayed.get(client)!, 'resumed', accepted.slice(1))
    })
  })
})

/** Publishes in order; messages to be refused go alone, because a list is accepted completely or not at all. */
async function publish({ url }: Server, messages: readonly Message[]): Promise<Answered[]> {
  const answers: Answered[] = []
  for (const list of listed(messages)) {
    const response = await fetch(`${url}/send?topic=any`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(list.length === 1 ? list[0] : list),
    })
    const { status } = response
    const { id, ids = [id], detail } = (await response.json()) as { id?: string; ids?: string[]; detail?: string }
    for (const [i, message] of list.entries())
      answers.push({ message, status, id: ids[i] ?? 'none', ...(detail && { detail }) })
  }
  return answers
}

function* listed(messages: readonly Message[]): Generator<Message[]> {
  let list: Message[] = []
  let chars = 0
  let lists = 0
  for (const message of messages) {
    if (!isAcceptable(message)) {
      yield [message]
      continue
    }
    list.push(message)
    chars += message.data.length
    if (list.length < LISTS[lists % LISTS.length]! && chars < MAX_LIST_CHARS) continue
    yield list
    list = []
    chars = 0
    lists++
  }
  if (list.length > 0) yield list
}

async function upTo(id: string | undefined, stream: Listening): Promise<Heard[]> {
  let newest = await stream.newest()
  for (let since = performance.now(); newest !== id && performance.now() - since < SILENCE_MS; await pause(20)) {
    const before = newest
    newest = await stream.newest()
    if (newest !== before) since = performance.now()
  }
  return stream.heard()
}

/** Expects the accepted events after one `hub.open`; checkpoints are ignored, and any other control event is a difference. */
function expectSame(client: Client, heard: readonly Heard[], state: string, accepted: readonly Heard[]): void {
  const [open, ...events] = heard.filter(([name]) => name !== 'hub.checkpoint')
  expect(open?.[0]).toBe('hub.open')
  expect(JSON.parse(open![1])).toMatchObject({ state })
  expect(differences(events, client.hears ? accepted.map(client.hears) : accepted)).toEqual([])
}
