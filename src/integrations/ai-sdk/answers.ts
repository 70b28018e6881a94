import { AppError, isLost, quote } from '../../errors.ts'
import { randomName } from '../../hub/random.ts'
import { point, pointed } from '../../runs/pointer.ts'
import type { ClaimOptions, Run, RunInfo, Runs } from '../../runs/run.ts'
import { topicOf } from '../../runs/topics.ts'
import { detailOf, type JoinOptions } from '../../runs/writer.ts'
import { record } from './record.ts'
import { replay } from './replay.ts'
import { AFTER_HEADER, CUT_OFF, TOPIC_HEADER, WIRE_HEADERS } from './wire.ts'

/**
 * Where the answers of chats are, and how they are stored.
 *
 * @example
 * const options: ChatAnswersOptions = { prefix: 'ai', join: { count: 32, ms: 50 }, onError: console.error }
 */
export interface ChatAnswersOptions {
  /** The answers of a chat are below `<prefix>/<chat id in base64url>`: `ai` by default, at most 100 bytes. */
  readonly prefix?: string
  /** Joins small chunks to entries, and splits longer ones than `bytes`. By default, each chunk is an entry. */
  readonly join?: JoinOptions
  /** Keeps a serverless function running until an answer has ended, such as `after` of Next.js. */
  readonly waitUntil?: (ended: Promise<unknown>) => void
  /** Called with what keeps an answer from being stored. Its run then ends as `failed`, or as `abandoned`. */
  readonly onError?: (error: unknown) => void
}

/**
 * How an answer is claimed.
 *
 * @example
 * const options: AnswerOptions = { id: 'answer-7', leaseMs: 30_000 }
 */
export interface AnswerOptions extends ClaimOptions {
  /** Names the answer, so that a request that is repeated makes no second one: `begin` then throws `run_taken` or `topic_closed`. */
  readonly id?: string
}

/**
 * An answer that is about to be made.
 *
 * @example
 * import { createUIMessageStreamResponse, type UIMessageChunk } from 'ai'
 * const respond = ({ headers, consumeSseStream }: Answer, stream: ReadableStream<UIMessageChunk>) =>
 *   createUIMessageStreamResponse({ stream, headers, consumeSseStream })
 */
export interface Answer {
  /** The topic of its run, which the AI SDK's guides call `activeStreamId`. */
  readonly topic: string
  /** Aborts when somebody asks to stop, and when the run is lost. Pass it to the model, as `abortSignal`. */
  readonly signal: AbortSignal
  /** Headers for the response that tell `tidingsChatTransport` the topic. */
  readonly headers: Readonly<Record<string, string>>
  /** For `createUIMessageStreamResponse`. Never rejects: `onError` is told. */
  readonly consumeSseStream: (options: { stream: ReadableStream<string> }) => Promise<void>
  /** Ends the run as `failed`, if there will be no stream. */
  fail(detail: string): Promise<void>
}

/**
 * The answers of chats of the AI SDK, as runs of a hub.
 *
 * @example
 * const answers: ChatAnswers = chatAnswers(runs(hub))
 * app.get('/api/chat/:id/stream', (c) => answers.resume(c.req.param('id'), c.req.raw))
 * app.post('/api/chat/:id/stop', (c) => answers.stop(c.req.param('id'), c.req.raw))
 */
export interface ChatAnswers {
  /**
   * Claims a topic for an answer, which becomes the current one of its chat. It fails after a minute without a stream. An answer with this
   * `id` whose producer has died half-way is not begun anew: it ends as failed.
   *
   * @throws AppError `run_taken` and `topic_closed` (an answer with this `id` is being made, or has ended), and those of `Runs.claim`
   */
  begin(chatId: string, options?: AnswerOptions): Promise<Answer>
  /**
   * Answers `GET {api}/{chatId}/stream`: 204 if the chat has no answer, or if that has ended as `done` or `stopped`; else the answer from its
   * first chunk. A failed answer ends with an `error` chunk. `?lastEventId=` gives what comes after an event, and each event an `id`.
   */
  resume(chatId: string, request?: Request): Promise<Response>
  /**
   * Answers `POST {api}/{chatId}/stop`: asks to stop the current answer of the chat, or with `{ "activeStreamId": topic }` in the body that
   * answer alone, if it is still the current one. Whoever makes it learns that by `Answer.signal`.
   */
  stop(chatId: string, request?: Request): Promise<Response>
  /** The run of the current answer of a chat; undefined if there is none. */
  current(chatId: string): Promise<RunInfo | undefined>
}

/** How long an answer may take to begin, in ms. */
const BEGIN_MS = 60_000
/** Stands for the segment of an answer below the topic of its chat, which has up to 45 bytes. */
const BELOW = '-'.repeat(45)

/**
 * Stores the answers of the AI SDK in a hub, so that they can be resumed after a reload, from several tabs, and after the death of any process;
 * with `runs(hub)` in a hub of this process, with `remoteRuns` in a hub elsewhere.
 *
 * The application decides who may read and stop a chat before it calls `resume` and `stop`.
 *
 * @example
 * import { convertToModelMessages, createUIMessageStreamResponse, type LanguageModel, streamText, toUIMessageStream } from 'ai'
 * const answers = chatAnswers(runs(hub))
 *
 * async function post(request: Request, model: LanguageModel): Promise<Response> {
 *   const { id, messages } = await request.json()
 *   const { signal, headers, consumeSseStream } = await answers.begin(id)
 *   const { stream } = streamText({ model, messages: await convertToModelMessages(messages), abortSignal: signal })
 *   return createUIMessageStreamResponse({ stream: toUIMessageStream({ stream }), headers, consumeSseStream })
 * }
 */
export function chatAnswers(runs: Runs, options: ChatAnswersOptions = {}): ChatAnswers {
  const { prefix = 'ai', join, waitUntil, onError } = options

  /** The current answer of a chat, and a position before its first entry. */
  async function find(chatId: string): Promise<{ readonly run: RunInfo; readonly before: string } | undefined> {
    const found = await pointed(runs, await topicOfChat(prefix, chatId))
    const run = found && (await runs.state(found.run))
    return run && { run, before: found!.id }
  }

  return {
    current: async (chatId) => (await find(chatId))?.run,

    async begin(chatId, { id = randomName(), ...claim } = {}) {
      const chat = await topicOfChat(prefix, chatId)
      const run = await runs.claim(await topicOf(chat, id), claim)
      const giveUp = (detail: string) => run.end({ outcome: 'failed', detail }).catch(() => run.release())
      // A topic that was deleted has a last id too, but its first claim again.
      if (run.fence > 1 && run.lastId !== null) {
        await giveUp(CUT_OFF)
        throw new AppError(
          'topic_closed',
          `Cannot begin ${quote(run.topic)} anew: another producer has left a part of it`,
        )
      }
      const before = await point(runs, chat, run.topic, { chat: chatId, answer: id }).catch(async (error) => {
        await giveUp('The answer could not begin')
        throw error
      })
      return answerOf(run, before)
    },

    async resume(chatId, request) {
      const found = await find(chatId)
      const after = request && (new URL(request.url).searchParams.get('lastEventId') ?? undefined)
      if (!found || (isOver(found.run) && !after)) return new Response(null, { status: 204 })
      const { run, before } = found
      const headers = { ...WIRE_HEADERS, ...headersOf(run.topic, before) }
      return new Response(replay(runs, run.topic, after || before, after !== undefined), { headers })
    },

    async stop(chatId, request) {
      const meant = await meantBy(request)
      if (meant === INVALID) return Response.json({ success: false, error: INVALID }, { status: 400 })
      const run = (await find(chatId))?.run
      const isMeant = run !== undefined && (meant === undefined || meant === run.topic)
      if (isMeant && run.outcome === undefined) await runs.stop(run.topic)
      return Response.json({ success: true })
    },
  }

  function answerOf(run: Run, before: string): Answer {
    const { topic, signal } = run
    const late = setTimeout(() => void fail('The answer did not begin'), BEGIN_MS)
    ;(late as { unref?: () => void }).unref?.()

    async function fail(detail: string): Promise<void> {
      clearTimeout(late)
      await run.end({ outcome: 'failed', detail: detailOf(detail) }).catch((error) => {
        run.release() // its lease ends it
        onError?.(error)
      })
    }

    async function recorded(stream: ReadableStream<string>): Promise<void> {
      await record(run, stream, join).catch(async (error) => {
        onError?.(error)
        if (!isLost(error)) await fail('The answer could not be stored')
      })
    }

    return {
      ...{ topic, signal, fail, headers: headersOf(topic, before) },
      async consumeSseStream({ stream }) {
        clearTimeout(late)
        const ended = recorded(stream)
        waitUntil?.(ended)
        await ended
      },
    }
  }
}

function headersOf(topic: string, before: string): Record<string, string> {
  return { [TOPIC_HEADER]: topic, [AFTER_HEADER]: before }
}

/** Whether an answer has ended in a way that leaves nothing to resume: the application has stored it. */
function isOver({ outcome }: RunInfo): boolean {
  return outcome === 'done' || outcome === 'stopped'
}

const INVALID =
  'Cannot read the body: expected JSON, with the topic of the answer to stop as activeStreamId if one is meant'

/** The answer that a request to stop means; undefined for the current one. */
async function meantBy(request: Request | undefined): Promise<string | undefined> {
  const text = (await request?.text()) ?? ''
  if (text === '') return
  try {
    const { activeStreamId } = JSON.parse(text) as { activeStreamId?: unknown }
    if (activeStreamId === undefined || activeStreamId === null) return
    return typeof activeStreamId === 'string' ? activeStreamId : INVALID
  } catch {
    return INVALID
  }
}

/** The topic of a chat, which leaves room for a segment below it. */
async function topicOfChat(prefix: string, chatId: string): Promise<string> {
  const roomy = await topicOf(`${prefix}/${BELOW}`, chatId)
  return `${prefix}${roomy.slice(prefix.length + 1 + BELOW.length)}`
}
