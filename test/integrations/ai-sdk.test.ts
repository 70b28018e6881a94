import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Chat } from '@ai-sdk/react'
import {
  type ChatTransport,
  createUIMessageStreamResponse,
  DefaultChatTransport,
  UI_MESSAGE_STREAM_HEADERS,
  type UIMessage,
  type UIMessageChunk,
} from 'ai'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { AppError, createApp, Hub, memoryLog } from '../../src/index.ts'
import { type Answer, type ChatAnswers, chatAnswers, tidingsChatTransport } from '../../src/integrations/ai-sdk.ts'
import { runs } from '../../src/runs/near.ts'
import type { RunInfo } from '../../src/runs/run.ts'
import { nextTurn } from '../../src/turn.ts'
import { answerOf } from './streams.ts'

let hub: Hub
let answers: ChatAnswers
const errors: unknown[] = []

beforeEach(() => {
  hub = new Hub(memoryLog)
  answers = chatAnswers(runs(hub), { onError: (error) => errors.push(error) })
})
afterEach(async () => {
  vi.useRealTimers()
  await hub.close()
  expect(errors.splice(0)).toEqual([])
})

/** A stream of an answer that a test writes. */
function written() {
  let control!: ReadableStreamDefaultController<string>
  const cancelled = vi.fn()
  const stream = new ReadableStream<string>({
    start(controller) {
      control = controller
    },
    cancel: cancelled,
  })
  const say = (chunk: object) => control.enqueue(`data: ${JSON.stringify(chunk)}\n\n`)
  const end = () => {
    control.enqueue('data: [DONE]\n\n')
    control.close()
  }
  return { stream, say, end, cancelled, break: (error: Error) => control.error(error), leave: () => control.close() }
}

const start = { type: 'start', messageId: 'a' }
const begin = { type: 'text-start', id: 't' }
const delta = (text: string) => ({ type: 'text-delta', id: 't', delta: text })

/** An answer that has begun and said hello. */
async function begun(chatId = 'chat', options?: Parameters<ChatAnswers['begin']>[1]) {
  const answer = await answers.begin(chatId, options)
  const source = written()
  const ended = answer.consumeSseStream({ stream: source.stream })
  for (const chunk of [start, begin, delta('Hello')]) source.say(chunk)
  return { ...source, answer, ended }
}

const ended = async (answer: Answer) => {
  const state = () => runs(hub).state(answer.topic)
  await expect.poll(async () => (await state())?.outcome).toBeDefined()
  return (await state()) as RunInfo
}

describe('an answer', () => {
  test('has its chunks as entries, and [DONE] in the last, which closes its topic', async () => {
    const { answer, say, end, ended } = await begun()
    say({ type: 'text-end', id: 't' })
    end()
    await ended
    const entries = await Array.fromAsync(runs(hub).entries(answer.topic))
    expect(entries.map((item) => item.kind === 'entry' && item.data)).toEqual([
      ...[start, begin, delta('Hello'), { type: 'text-end', id: 't' }].map((chunk) => JSON.stringify(chunk)),
      '[DONE]',
    ])
    expect(entries.at(-1)).toMatchObject({ close: true, outcome: 'done' })
  })

  test('goes on when its reader leaves', async () => {
    const answer = await answers.begin('chat')
    const { consumeSseStream } = answer
    const response = createUIMessageStreamResponse({ stream: answerOf('text', 1), consumeSseStream })
    await response.body!.cancel()
    expect(await ended(answer)).toMatchObject({ outcome: 'done' })
  })

  test('whose stream fails, or ends without [DONE], has failed, without the words of the error', async () => {
    const one = await begun('one')
    one.break(new Error('password is 1234'))
    const two = await begun('two')
    two.leave()
    await Promise.all([one.ended, two.ended])
    expect(await ended(one.answer)).toMatchObject({ outcome: 'failed', detail: 'The stream of the answer has failed' })
    expect(await ended(two.answer)).toMatchObject({
      outcome: 'failed',
      detail: expect.stringContaining('before its last event'),
    })
  })

  test('with an error chunk has failed for that reason', async () => {
    const { answer, say, end, ended: over } = await begun()
    say({ type: 'error', errorText: 'Too hot' })
    end()
    await over
    expect(await ended(answer)).toMatchObject({ outcome: 'failed', detail: 'Too hot' })
  })

  test('without a stream fails after a minute, or when the application says so', async () => {
    const [late, failed] = [await answers.begin('late'), await answers.begin('failed')]
    await failed.fail('No credit')
    expect(await ended(failed)).toMatchObject({ outcome: 'failed', detail: 'No credit' })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const soon = await answers.begin('soon')
    vi.advanceTimersByTime(60_000)
    vi.useRealTimers()
    expect(await ended(soon)).toMatchObject({ outcome: 'failed', detail: 'The answer did not begin' })
    await late.fail('over')
  })

  test('with a chunk that is longer than an event may be is stored in parts, and comes back whole', async () => {
    const { answer, say, end, ended: over } = await begun()
    const replay = (await answers.resume('chat')).text()
    const file = { type: 'file', mediaType: 'image/png', url: `data:image/png;base64,${'Ab+/'.repeat(50_000)}` }
    say(file)
    end()
    await over
    expect(await ended(answer)).toMatchObject({ outcome: 'done' })
    expect(await replay).toBe(
      [...[start, begin, delta('Hello'), file].map((chunk) => JSON.stringify(chunk)), '[DONE]']
        .map((data) => `data: ${data}\n\n`)
        .join(''),
    )
  })

  test('of many chunks leaves nothing of each in memory', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    await hub.close()
    hub = new Hub(() => memoryLog({ retention: { count: 10 } }), { windowCount: 10 })
    answers = chatAnswers(runs(hub), { join: { count: 100 } })
    const CHUNKS = 50_000
    const held: number[] = []
    let said = 0
    const stream = new ReadableStream<string>(
      {
        pull(controller) {
          if (said === 1000 || said === CHUNKS) {
            collect()
            held.push(process.memoryUsage().heapUsed)
          }
          if (said === CHUNKS) controller.close()
          else controller.enqueue(`data: ${JSON.stringify(delta(`${said++}`))}\n\n`)
        },
      },
      { highWaterMark: 0 },
    )
    await (await answers.begin('chat')).consumeSseStream({ stream })
    expect(said).toBe(CHUNKS)
    expect(held[1]! - held[0]!).toBeLessThan(CHUNKS * 100)
  })

  test('that the hub refuses to store fails, and the application is told', async () => {
    await hub.close()
    hub = new Hub(memoryLog, { maxEventBytes: 2000 })
    answers = chatAnswers(runs(hub), { onError: (error) => errors.push(error) })
    const { answer, say, ended: over } = await begun()
    say(delta('x'.repeat(5000)))
    const more = setInterval(() => say(delta('more')), 10)
    await over.finally(() => clearInterval(more))
    expect(errors.splice(0)).toEqual([expect.objectContaining({ code: 'event_too_large' })])
    expect(await ended(answer)).toMatchObject({ outcome: 'failed', detail: 'The answer could not be stored' })
  })

  test('that another producer has taken over is let go of, and the application is told', async () => {
    const { answer, ended: over, cancelled } = await begun('chat', { key: 'mine' })
    await runs(hub).claim(answer.topic, { key: 'mine' })
    await over
    expect(answer.signal.reason).toMatchObject({ code: 'run_lost' })
    expect(cancelled).toHaveBeenCalled()
    expect(errors.splice(0)).toEqual([expect.objectContaining({ code: 'run_lost' })])
  })

  test('with an id is made once: a repeated request is told so', async () => {
    const { end, ended: over } = await begun('chat', { id: 'message-1' })
    await expect(answers.begin('chat', { id: 'message-1' })).rejects.toMatchObject({ code: 'run_taken' })
    end()
    await over
    await expect(answers.begin('chat', { id: 'message-1' })).rejects.toMatchObject({ code: 'topic_closed' })
    await (await answers.begin('chat', { id: 'message-2' })).fail('over')
  })

  test('with an id whose producer has died is begun anew only if it has no chunk yet, or was deleted; else it is cut off', async () => {
    const lease = { leaseMs: 100, graceMs: 60_000 }
    const die = async (...chunks: object[]) => {
      const { topic } = await answers.begin('chat', { id: 'message-1', key: 'mine', ...lease })
      const dying = await runs(hub).claim(topic, { key: 'mine', ...lease })
      for (const chunk of chunks) await dying.publish({ data: JSON.stringify(chunk) })
      dying.release()
      await pause(200)
      return topic
    }
    await die()
    const topic = await die(start)
    await expect(answers.begin('chat', { id: 'message-1' })).rejects.toMatchObject({ code: 'topic_closed' })
    expect(await (await answers.resume('chat')).text()).toBe(
      `data: ${JSON.stringify(start)}\n\ndata: {"type":"error","errorText":"The answer was cut off: its producer has disappeared"}\n\ndata: [DONE]\n\n`,
    )
    await runs(hub).delete(topic)
    await (await answers.begin('chat', { id: 'message-1' })).fail('over')
  })

  test.each(['', '/', '..', 'a b', '😀', 'x'.repeat(110), 'x'.repeat(130), 'x'.repeat(3000), `${'x'.repeat(2999)}y`])(
    'of any chat has a topic of its own: %j',
    async (chatId) => {
      const answer = await answers.begin(chatId, { id: 'i'.repeat(300) })
      expect(answer.topic.length).toBeLessThanOrEqual(200)
      expect((await answers.current(chatId))?.topic).toBe(answer.topic)
      expect(await answers.current(`${chatId}!`)).toBeUndefined()
      const chat = answer.topic.slice(0, answer.topic.lastIndexOf('/'))
      const items = await Array.fromAsync(hub.entries(chat, { until: 'now' }))
      const entries = items.flatMap((item) => (item.kind === 'entry' ? [JSON.parse(item.data!)] : []))
      expect(entries).toEqual([{ run: answer.topic, chat: chatId, answer: 'i'.repeat(300) }])
      await answer.fail('over')
    },
  )
})

describe('resume', () => {
  const text = async () => (await answers.resume('chat')).text()

  test('answers 204 where there is nothing to resume: no answer, one that is done or was stopped, or a deleted one', async () => {
    expect((await answers.resume('chat')).status).toBe(204)
    const one = await begun()
    expect((await answers.resume('chat')).status).toBe(200)
    one.end()
    await one.ended
    expect((await answers.resume('chat')).status).toBe(204)
    const two = await begun()
    await answers.stop('chat')
    two.end()
    await two.ended
    expect((await answers.resume('chat')).status).toBe(204)
    await (await begun()).answer.fail('over')
    expect((await answers.resume('chat')).status).toBe(200)
    await runs(hub).delete((await answers.current('chat'))!.topic)
    expect((await answers.resume('chat')).status).toBe(204)
    errors.splice(0) // the sink of the failed answer
  })

  test('has the headers of the AI SDK, and the topic', async () => {
    const { answer, end, ended: over } = await begun()
    const { headers } = await answers.resume('chat')
    expect(Object.fromEntries(headers)).toEqual({ ...UI_MESSAGE_STREAM_HEADERS, ...answer.headers })
    expect(Object.keys(answer.headers)).toEqual(['tidings-topic', 'tidings-after'])
    end()
    await over
  })

  test('of an answer whose producer has died shows its chunks, and then an error', async () => {
    const run = await runs(hub).claim((await answers.begin('chat', { leaseMs: 100, graceMs: 0, key: 'k' })).topic, {
      key: 'k',
      leaseMs: 100,
      graceMs: 0,
    })
    await run.publish({ data: JSON.stringify(start) })
    run.release()
    expect(await text()).toBe(
      `data: ${JSON.stringify(start)}\n\ndata: {"type":"error","errorText":"The answer was cut off: its producer has disappeared"}\n\ndata: [DONE]\n\n`,
    )
    expect(await text()).toContain('"type":"error"')
  })

  test('of an answer whose beginning is no longer kept says so', async () => {
    await hub.close()
    const log = memoryLog({ retention: { topicCount: 2 } })
    hub = new Hub(() => log)
    answers = chatAnswers(runs(hub))
    const { end, say, ended: over } = await begun()
    say(delta('!'))
    await expect.poll(async () => (await answers.current('chat'))?.lastId).toMatch(/-5$/)
    expect(await text()).toBe(
      'data: {"type":"error","errorText":"Part of the answer is no longer kept"}\n\ndata: [DONE]\n\n',
    )
    end()
    await over
  })

  test('after an event that the hub does not know says that part is missing', async () => {
    const { end, ended: over } = await begun()
    const response = await answers.resume('chat', new Request('http://app/?lastEventId=nonsense'))
    expect(await response.text()).toContain('no longer kept')
    end()
    await over
  })

  test('breaks the connection if the hub closes, so that the client comes back', async () => {
    const { ended: over } = await begun()
    const response = await answers.resume('chat')
    await hub.close()
    await expect(response.text()).rejects.toThrow()
    void over
  })

  test('of a silent answer sends a comment every 15 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { end, ended: over } = await begun()
    const reader = (await answers.resume('chat')).body!.pipeThrough(new TextDecoderStream()).getReader()
    for (let i = 0; i < 3; i++) expect((await reader.read()).value).toMatch(/^data: {/)
    const silent = reader.read()
    await vi.advanceTimersByTimeAsync(15_000)
    expect((await silent).value).toBe(': keep-alive\n\n')
    vi.useRealTimers()
    end()
    await over
    await reader.cancel()
  })
})

describe('stop', () => {
  const stop = (body?: unknown) =>
    answers.stop(
      'chat',
      new Request('http://app/', {
        method: 'POST',
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    )

  test('reaches the producer, whose answer ends as stopped with what it still says', async () => {
    const { answer, say, end, ended: over } = await begun()
    expect(await (await stop()).json()).toEqual({ success: true })
    await expect.poll(() => answer.signal.reason).toMatchObject({ code: 'run_stopped' })
    const replay = answers.resume('chat')
    say({ type: 'abort' })
    end()
    await over
    expect(await (await replay).text()).toMatch(/data: {"type":"abort"}\n\ndata: \[DONE]\n\n$/)
    expect(await ended(answer)).toMatchObject({ outcome: 'stopped' })
  })

  test('reaches the model through streamText, which says abort', async () => {
    const answer = await answers.begin('chat')
    const { signal, consumeSseStream } = answer
    createUIMessageStreamResponse({ stream: answerOf('text', 1, signal), consumeSseStream })
    await stop({})
    expect((await ended(answer)).outcome).toMatch(/stopped|done/)
  })

  test('ends an answer whose model does not hear it after two seconds', async () => {
    const { answer, ended: over, cancelled } = await begun()
    const replay = answers.resume('chat')
    await stop()
    await over
    expect(cancelled).toHaveBeenCalled()
    expect(await (await replay).text()).toMatch(/data: {"type":"abort"}\n\ndata: \[DONE]\n\n$/)
    expect(await ended(answer)).toMatchObject({ outcome: 'stopped' })
  })

  test('stops the answer that it means, and no newer one', async () => {
    const old = await begun()
    const newer = await begun()
    await stop({ activeStreamId: old.answer.topic })
    expect(await runs(hub).state(newer.answer.topic)).toMatchObject({ isStopAsked: false })
    await stop({ activeStreamId: null, assistantMessage: {} })
    expect(await runs(hub).state(newer.answer.topic)).toMatchObject({ isStopAsked: true })
    expect(await runs(hub).state(old.answer.topic)).toMatchObject({ isStopAsked: false })
    for (const { end, ended: over } of [old, newer]) {
      end()
      await over
    }
    await stop({ activeStreamId: newer.answer.topic })
    expect(await (await stop()).json()).toEqual({ success: true })
  })

  test.each(['{', '[', '"x', 'null', '{"activeStreamId":7}'])('refuses the body %s', async (body) => {
    expect((await stop(body)).status).toBe(400)
  })
})

/** A chat over an application and a hub that are in this process. */
function chatOf(
  make: (fetch: typeof globalThis.fetch) => ChatTransport<UIMessage>,
  options: { ask?: () => Promise<Response> } = {},
) {
  const app = createApp({ hub, open: true, settings: { maxReadersPerAddress: 'none' } })
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const url = `${input}`
    if (url.startsWith('/event')) return app.request(url, init)
    if (url.endsWith('/stream')) return answers.resume(decodeURIComponent(url.split('/').at(-2)!))
    return options.ask!()
  }
  return new Chat({ id: 'chat', transport: make(fetch) })
}

const transports = {
  DefaultChatTransport: (fetch: typeof globalThis.fetch) => new DefaultChatTransport({ fetch }),
  tidingsChatTransport: (fetch: typeof globalThis.fetch) => tidingsChatTransport({ fetch }),
}

describe.each(Object.keys(transports) as (keyof typeof transports)[])('a chat over %s', (name) => {
  const texts = (chat: Chat<UIMessage>) =>
    chat.messages
      .at(-1)
      ?.parts.map((part) => (part.type === 'text' ? part.text : part.type))
      .join('')

  test('shows an answer that goes on, from its beginning', async () => {
    const { say, end, ended: over } = await begun()
    const chat = chatOf(transports[name])
    const resumed = chat.resumeStream()
    await expect.poll(() => texts(chat)).toBe('Hello')
    say(delta(', world'))
    end()
    await Promise.all([resumed, over])
    expect([texts(chat), chat.status, chat.error]).toEqual(['Hello, world', 'ready', undefined])
  })

  test('with nothing to resume stays as it is', async () => {
    const chat = chatOf(transports[name])
    await chat.resumeStream()
    expect([chat.messages, chat.status]).toEqual([[], 'ready'])
  })

  test('shows an error after what there is of an answer that failed', async () => {
    const { ended: over, leave } = await begun()
    const chat = chatOf(transports[name])
    const resumed = chat.resumeStream()
    await expect.poll(() => texts(chat)).toBe('Hello')
    leave()
    await Promise.all([resumed, over])
    expect([texts(chat), chat.status, chat.error?.message]).toEqual([
      'Hello',
      'error',
      'The answer has ended before its last event',
    ])
  })

  test('asks for an answer, and shows it', async () => {
    const chat = chatOf(transports[name], {
      async ask() {
        const { headers, consumeSseStream } = await answers.begin('chat')
        return createUIMessageStreamResponse({ stream: answerOf('tool input', 3), headers, consumeSseStream })
      },
    })
    await chat.sendMessage({ text: 'How is the weather?' })
    expect([chat.status, chat.error]).toEqual(['ready', undefined])
    expect(chat.messages.at(-1)!.parts).toContainEqual(
      expect.objectContaining({ type: 'tool-weather', state: 'output-available' }),
    )
  })

  test('shows the refusal of the application', async () => {
    const chat = chatOf(transports[name], { ask: async () => new Response('No credit', { status: 402 }) })
    await chat.sendMessage({ text: 'Hello?' })
    expect([chat.status, chat.error?.message]).toEqual(['error', 'No credit'])
  })

  test('stops reading without stopping the answer', async () => {
    const { answer, end, ended: over } = await begun()
    const chat = chatOf(transports[name])
    const resumed = chat.resumeStream()
    await expect.poll(() => texts(chat)).toBe('Hello')
    await chat.stop()
    await resumed
    expect(chat.status).toBe('ready')
    expect(answer.signal.aborted).toBe(false)
    end()
    await over
    expect((await runs(hub).state(answer.topic))?.outcome).toBe('done')
  })
})

describe('tidingsChatTransport', () => {
  const follow = async (fetch: typeof globalThis.fetch, options = {}) => {
    const stream = await tidingsChatTransport<UIMessageChunk>({ fetch, ...options }).reconnectToStream({
      chatId: 'chat',
    })
    const chunks: UIMessageChunk[] = []
    for await (const chunk of stream!) chunks.push(chunk)
    return chunks
  }
  const named = () => new Response(null, { headers: { 'tidings-topic': 'ai/x' } })
  /** An application that names a topic, and a hub. */
  const over =
    (hub: () => Response | Promise<Response>): typeof globalThis.fetch =>
    async (input) =>
      `${input}`.includes('/event') ? hub() : named()
  const sse = (...events: string[]) =>
    new Response(events.map((event) => `${event}\n\n`).join(''), { headers: { 'content-type': 'text/event-stream' } })

  test('gives up when the hub is out of reach for too long, with an error that useChat takes for a lost network', async () => {
    const chat = new Chat({
      transport: tidingsChatTransport({
        fetch: over(() => Promise.reject(new TypeError('Failed to fetch'))),
        maxOutageMs: 0,
      }),
      onFinish: (told) => void finished.push(told),
    })
    const finished: { isDisconnect: boolean }[] = []
    await chat.resumeStream()
    expect([chat.status, chat.error?.message]).toEqual(['error', 'network error: cannot reach /event'])
    expect(finished).toMatchObject([{ isDisconnect: true }])
  })

  test('goes on after the end of a connection that had only heartbeats for longer than the hub may be out of reach', async () => {
    const quiet = () =>
      new Response(
        new ReadableStream({
          async start(controller) {
            for (let i = 0; i < 10; i++) {
              controller.enqueue(new TextEncoder().encode(':\n'))
              await pause(50)
            }
            controller.close()
          },
        }),
      )
    const answers = [quiet, () => sse('data: {"type":"start"}', 'data: [DONE]')]
    expect(
      await follow(
        over(() => answers.shift()!()),
        { maxOutageMs: 300 },
      ),
    ).toEqual([{ type: 'start' }])
  })

  test('resumes before a gap that the connection was cut off from telling', async () => {
    const asked: string[] = []
    const opened = 'event: hub.open\nid: a-9\ndata: {"state":"gap"}'
    const answers = [
      sse('id: a-1\ndata: {"type":"start"}'),
      sse(opened),
      sse(opened, 'event: hub.gap\nid: a-9\ndata: {}'),
    ]
    const chunks = await follow(async (input) => {
      if (!`${input}`.includes('/event')) return named()
      asked.push(`${input}`)
      return answers.shift()!
    })
    expect(asked).toEqual([
      '/event?topic=ai%2Fx&from=earliest',
      '/event?topic=ai%2Fx&lastEventId=a-1',
      '/event?topic=ai%2Fx&lastEventId=a-1',
    ])
    expect(chunks).toEqual([{ type: 'start' }, { type: 'error', errorText: 'Part of the answer is no longer kept' }])
  })

  test('comes back when the hub says: after its retry, which hub.ending makes exact, and not before Retry-After', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    vi.spyOn(Math, 'random').mockReturnValue(0)
    onTestFinished(() => void vi.restoreAllMocks())
    const answers = [
      sse('data: {"type":"start"}'),
      sse('retry: 4000', 'id: a-1\ndata: {"type":"start-step"}'),
      sse('event: hub.ending\ndata: {}\nretry: 7000'),
      new Response(null, { status: 503, headers: { 'retry-after': '9' } }),
      sse('data: {"type":"finish-step"}', 'event: hub.ending\ndata: {}\nretry: 99999999999'),
      sse('data: [DONE]'),
    ]
    const pauses: number[] = []
    let askedAt = performance.now()
    const following = follow(
      over(() => {
        pauses.push(performance.now() - askedAt)
        askedAt = performance.now()
        return answers.shift()!
      }),
    )
    let isOver = false
    following.finally(() => {
      isOver = true
    })
    while (!isOver) {
      for (let turn = 0; turn < 50; turn++) await nextTurn() // a body that has arrived is read before its connection counts as silent
      await vi.advanceTimersToNextTimerAsync()
    }
    expect((await following).map(({ type }) => type)).toEqual(['start', 'start-step', 'finish-step'])
    expect(pauses).toEqual([0, 125, 2000, 7000, 9000 + 3500, 3_600_000])
  })

  test('gives up in time, whatever a proxy says in the place of the hub', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const away = vi.fn(() => new Response(null, { status: 503, headers: { 'retry-after': '600' } }))
    const following = follow(over(away), { maxOutageMs: 120_000 })
    const failed = vi.fn()
    following.catch(failed)
    await vi.advanceTimersByTimeAsync(119_000)
    expect([away.mock.calls.length, failed.mock.calls.length]).toEqual([1, 0])
    await vi.advanceTimersByTimeAsync(2000)
    expect([away.mock.calls.length, failed.mock.calls.length]).toEqual([2, 1])
  })

  test('tells why it has given up', async () => {
    const away = over(() => Promise.reject(new TypeError('Failed to fetch')))
    await expect(follow(away, { maxOutageMs: 0 })).rejects.toMatchObject({ cause: { message: 'Failed to fetch' } })
    const full = over(() => Response.json({ detail: 'Too many readers' }, { status: 429 }))
    await expect(follow(full, { maxOutageMs: 0 })).rejects.toMatchObject({ cause: { message: 'Too many readers' } })
  })

  test('comes back after overload, and shows what the hub refuses', async () => {
    const answers = [
      () => new Response(null, { status: 503 }),
      () => new Response(null, { status: 429 }),
      () => Response.json({ detail: 'You may not read this' }, { status: 403 }),
    ]
    await expect(follow(over(() => answers.shift()!()))).rejects.toThrow('You may not read this')
    expect(answers).toEqual([])
  })

  test.each([
    ['a gap', 'event: hub.gap\ndata: {}', 'Part of the answer is no longer kept'],
    [
      'an abandoned run',
      'event: hub.closed\ndata: {"outcome":"abandoned"}',
      'The answer was cut off: its producer has disappeared',
    ],
    ['a failed run', 'event: hub.closed\ndata: {"outcome":"failed","detail":"Too hot"}', 'Too hot'],
  ])('says so at %s', async (_, event, errorText) => {
    expect(await follow(over(() => sse('event: hub.open\nid: a-1\ndata: {}', event)))).toEqual([
      { type: 'error', errorText },
    ])
  })

  test('takes a topic in which nothing is left, and whose end it has not seen, for an answer that was cut off', async () => {
    expect(await follow(over(() => new Response(null, { status: 204 })))).toEqual([
      { type: 'error', errorText: 'The answer was cut off: its producer has disappeared' },
    ])
  })

  test('leaves out a chunk of which another producer has published the rest alone', async () => {
    const part = (i: number, text: string) => `event: part\ndata: ${JSON.stringify({ i, n: 2, text })}`
    const parts = [part(1, '"}'), part(1, '"}'), part(0, '{"type":'), part(1, '"abort"}')]
    expect(await follow(over(() => sse(...parts, 'data: [DONE]')))).toEqual([{ type: 'abort' }])
  })

  test('takes a run that another producer ended as done for whole', async () => {
    const chunk = '{"type":"start"}'
    expect(await follow(over(() => sse(`data: ${chunk}`, 'event: hub.closed\ndata: {"outcome":"done"}')))).toEqual([
      { type: 'start' },
    ])
  })

  test('sends the headers, credentials and members that it was given, to the hub its own', async () => {
    const seen: [string, RequestInit][] = []
    const transport = tidingsChatTransport({
      ...{
        api: '/ask',
        hub: 'https://hub/x/',
        headers: { a: '1' },
        hubHeaders: async () => ({ authorization: 'Bearer t' }),
      },
      ...{ credentials: 'include', body: () => ({ model: 'm' }) },
      fetch: async (input, init) => {
        seen.push([`${input}`, init!])
        return `${input}`.includes('/event') ? sse('data: [DONE]') : named()
      },
    })
    const request: Parameters<typeof transport.sendMessages>[0] = {
      trigger: 'submit-message',
      chatId: 'c',
      messageId: undefined,
      messages: [],
      abortSignal: undefined,
    } as const
    await (await transport.sendMessages({ ...request, headers: { b: '2' }, body: { more: 1 } })).getReader().closed
    const [[asked, ask], [read, reading]] = seen as [[string, RequestInit], [string, RequestInit]]
    expect([asked, read]).toEqual(['/ask', 'https://hub/x/event?topic=ai%2Fx&from=earliest'])
    expect(Object.fromEntries(new Headers(ask.headers))).toEqual({ a: '1', b: '2', 'content-type': 'application/json' })
    expect(JSON.parse(ask.body as string)).toEqual({
      model: 'm',
      more: 1,
      id: 'c',
      messages: [],
      trigger: 'submit-message',
    })
    expect(Object.fromEntries(new Headers(reading.headers))).toEqual({
      authorization: 'Bearer t',
      accept: 'text/event-stream',
    })
    expect([ask.credentials, reading.credentials]).toEqual(['include', 'include'])
  })

  test('names what is missing when the application names no topic, and refuses ids that are paths', async () => {
    await expect(follow(async () => new Response('hello'))).rejects.toThrow('send Answer.headers')
    await expect(tidingsChatTransport().reconnectToStream({ chatId: '..' })).rejects.toThrow('it is a path')
  })
})

test('errors of begin are those of the hub', async () => {
  await expect(chatAnswers(runs(hub), { prefix: 'a b' }).begin('chat')).rejects.toBeInstanceOf(AppError)
})
