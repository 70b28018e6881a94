import { DefaultChatTransport, type UIMessage, type UIMessageChunk } from 'ai'
import { createParser } from 'eventsource-parser'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createApp, Hub, memoryLog } from '../../src/index.ts'
import {
  type ChatAnswers,
  type ChatAnswersOptions,
  chatAnswers,
  tidingsChatTransport,
} from '../../src/integrations/ai-sdk.ts'
import { runs } from '../../src/runs/near.ts'
import { isRest, part } from '../part.ts'
import { random } from '../server/random.ts'
import { kinds, recordStream } from './streams.ts'

/** Five recorded streams of each kind: 50. */
const recorded = kinds.flatMap((kind) => [1, 2, 3, 4, 5].map((n) => ({ kind, seed: kinds.indexOf(kind) * 10 + n })))
/** The quick test replays one of each kind, cut at some bytes, and the rest all of them, cut at every byte. */
const replayed = part(
  recorded.filter(({ seed }) => seed % 10 === 1),
  recorded,
)
const CUTS = 4
/** How many connections are cut at the same time. */
const AT_ONCE = 2000

const EACH = 'an entry a chunk'
const storages: Record<string, ChatAnswersOptions> = {
  [EACH]: { join: { bytes: 1000 } },
  'joined chunks': { join: { bytes: 1000, count: 3, ms: 1 } },
}

let hub: Hub
let answers: ChatAnswers

beforeEach(() => {
  hub = new Hub(memoryLog, { retryMs: 100 })
})
afterEach(() => hub.close())

/** Stores a stream as the answer of a chat. */
async function store(text: string, options: ChatAnswersOptions): Promise<void> {
  answers = chatAnswers(runs(hub), options)
  const answer = await answers.begin('chat')
  await answer.consumeSseStream({ stream: new Response(text).body!.pipeThrough(new TextDecoderStream()) })
}

describe.each(Object.keys(storages))('with %s', (storage) => {
  test.each(recorded)(
    'at every byte, what a client has of an answer with $kind ($seed) and what it resumes are the answer',
    async ({ kind, seed }) => {
      const original = await recordStream(kind, seed)
      await store(original, storages[storage]!)
      const cut = new TextEncoder().encode(await resumed(''))
      const whole = eventsOf(original)
      const rest = new Map<string, readonly string[]>()
      const had: string[] = []
      let lastId = ''
      const parser = createParser({
        onEvent({ data, id }) {
          had.push(data)
          lastId = id!
        },
      })
      const decoder = new TextDecoder()
      for (let at = 0; at <= cut.length; at++) {
        const before = had.length
        parser.feed(decoder.decode(cut.subarray(at, at + 1), { stream: true }))
        if (at > 0 && had.length === before) continue // the client has the same events as one byte before
        if (!rest.has(lastId)) rest.set(lastId, eventsOf(await resumed(lastId)))
        expect([...had, ...rest.get(lastId)!]).toEqual(whole)
      }
      expect(rest.size).toBe(whole.length + 1)
    },
  )

  test.each(replayed)(
    'an answer with $kind ($seed) is replayed byte for byte while it may be resumed',
    async ({ kind, seed }) => {
      const original = await recordStream(kind, seed)
      answers = chatAnswers(runs(hub), storages[storage])
      const answer = await answers.begin('chat')
      const [now, later] = [await answers.resume('chat'), await answers.resume('chat')]
      expect(now.status).toBe(200)
      const ended = answer.consumeSseStream({
        stream: new Response(original).body!.pipeThrough(new TextDecoderStream()),
      })
      expect(await now.text()).toBe(original)
      await ended
      expect(await later.text()).toBe(original)
      const after = await answers.resume('chat')
      // An answer that is broken off before it has said a word is an error of the AI SDK, too.
      if (original.includes('data: {"type":"error"')) expect(await after.text()).toBe(original)
      else expect(after.status).toBe(204)
    },
  )

  test.each(replayed)(
    `a connection that breaks at ${isRest ? 'every fifth byte' : 'some bytes'} of an answer with $kind ($seed) loses and doubles nothing in tidingsChatTransport`,
    { timeout: 360_000 },
    async ({ kind, seed }) => {
      const original = await recordStream(kind, seed)
      await store(original, storages[storage]!)
      const app = createApp({ hub, open: true, settings: { maxReadersPerAddress: 'none' } })
      const { topic } = (await answers.current('chat'))!
      const before = await beforeStart()
      const stream = await app.request(`/event?topic=${topic}&lastEventId=${before}`)
      const length = (await stream.bytes()).length
      const { whole } = random(seed)
      const cuts = part(
        Array.from({ length: CUTS }, () => whole(0, length)),
        Array.from({ length: length + 1 }, (_, at) => at).filter((at) => at % 5 === 0),
      )
      const want = await chunksOf(new DefaultChatTransport({ fetch: async () => new Response(original) }))
      for (let i = 0; i < cuts.length; i += AT_ONCE)
        await Promise.all(
          cuts.slice(i, i + AT_ONCE).map(async (at) => {
            const got = await chunksOf(tidingsChatTransport({ fetch: breaking(at) }))
            expect([at, got]).toEqual([at, want])
          }),
        )

      /** A network whose first connection to the hub breaks after some bytes. */
      function breaking(at: number): typeof fetch {
        let isFirst = true
        return async (input, init) => {
          if (!`${input}`.startsWith('/event'))
            return new Response(null, { headers: { 'tidings-topic': topic, 'tidings-after': before } })
          const response = await app.request(`${input}`, init)
          if (!isFirst) return response
          isFirst = false
          return new Response(breakingBody(response.body!, at), response)
        }
      }
    },
  )
})

test('the recorded streams have a part of each kind', async () => {
  const found = new Set<string>()
  for (const { kind, seed } of recorded)
    for (const [, type] of (await recordStream(kind, seed)).matchAll(/^data: {"type":"([^"]+)"/gm)) found.add(type!)
  for (const type of [
    'text-delta',
    'reasoning-delta',
    'tool-input-delta',
    'tool-output-available',
    'tool-output-error',
  ])
    expect(found).toContain(type)
  for (const type of ['file', 'source-url', 'error', 'message-metadata', 'start-step']) expect(found).toContain(type)
})

async function resumed(lastEventId: string): Promise<string> {
  const response = await answers.resume('chat', new Request(`http://app/stream?lastEventId=${lastEventId}`))
  return response.status === 204 ? await resumedFromStart() : await response.text()
}

/** A run that is done gives its tail alone: to begin with, that after the position before everything. */
async function resumedFromStart(): Promise<string> {
  return (await answers.resume('chat', new Request(`http://app/stream?lastEventId=${await beforeStart()}`))).text()
}

async function beforeStart(): Promise<string> {
  const { id } = (await hub.entries((await answers.current('chat'))!.topic, { until: 'now' }).next()).value!
  return id.replace(/\d+$/, (seq: string) => `${Number(seq) - 1}`)
}

function eventsOf(text: string): readonly string[] {
  const events: string[] = []
  createParser({ onEvent: ({ data }) => void events.push(data) }).feed(text)
  return events
}

/** What a chat gets from a transport: its chunks, and its error if it has one. */
async function chunksOf(transport: {
  sendMessages: DefaultChatTransport<UIMessage>['sendMessages']
}): Promise<readonly unknown[]> {
  const stream = await transport.sendMessages({
    ...{ trigger: 'submit-message', chatId: 'chat', messageId: undefined, messages: [], abortSignal: undefined },
  })
  const chunks: (UIMessageChunk | string)[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

/** The first bytes of a body, and then an error. */
function breakingBody(body: ReadableStream<Uint8Array>, at: number): ReadableStream<Uint8Array> {
  let left = at
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        controller.enqueue(bytes.subarray(0, left))
        left -= bytes.length
        if (left < 0) controller.error(new TypeError('network error'))
      },
    }),
  )
}
