import type { LanguageModelV4StreamPart } from '@ai-sdk/provider'
import { createUIMessageStreamResponse, isStepCount, jsonSchema, streamText, tool, toUIMessageStream } from 'ai'
import { convertArrayToReadableStream, MockLanguageModelV4 } from 'ai/test'
import { random } from '../server/random.ts'

/** What an answer may have. A long file needs several entries of 1 KiB. A recorded stream of each kind has that part for certain, and others at random. */
export const kinds = [
  'text',
  'reasoning',
  'tool input',
  'tool error',
  'file',
  'long file',
  'source',
  'error',
  'data',
  'broken off',
] as const
export type Kind = (typeof kinds)[number]

const usage = {
  inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 10, text: 10, reasoning: undefined },
}
const words = [
  'Hello',
  ' ',
  'wörld',
  '\n',
  '\r\n',
  '漢字',
  '😀',
  '"',
  '\\',
  'data: x',
  '\n\n',
  '[DONE]',
  '\u2028',
  '{',
  '',
]

type Parts = LanguageModelV4StreamPart[]
type Dice = (below: number) => number

/** Records an answer as the AI SDK sends it, from a model that says what the dice make it say. */
export async function recordStream(kind: Kind, seed: number): Promise<string> {
  return createUIMessageStreamResponse({ stream: answerOf(kind, seed) }).text()
}

/** The chunks of an answer. */
export function answerOf(kind: Kind, seed: number, abortSignal?: AbortSignal): ReturnType<typeof toUIMessageStream> {
  const next = random(seed)
  const dice: Dice = (below) => Math.floor(next() * below)
  const steps = kind.startsWith('tool') ? [callStep(kind, dice), lastStep('text', dice)] : [lastStep(kind, dice)]
  const model = new MockLanguageModelV4({
    doStream: steps.map((parts) => ({ stream: convertArrayToReadableStream(parts) })),
  })
  const result = streamText({
    model,
    prompt: 'say it',
    stopWhen: isStepCount(3),
    ...(abortSignal && { abortSignal }),
    onError: () => {},
    tools: {
      weather: tool({
        inputSchema: jsonSchema<{ city: string }>({
          type: 'object',
          properties: { city: { type: 'string' } },
          required: ['city'],
        }),
        execute: async ({ city }) => {
          if (city === 'nowhere') throw new Error('no such city')
          return { city, degrees: 7, report: 'r'.repeat(dice(300)) }
        },
      }),
    },
  })
  return toUIMessageStream({
    stream: result.stream,
    sendSources: true,
    generateMessageId: () => `answer-${seed}`,
    ...(kind === 'data' && { messageMetadata: ({ part }) => ({ seen: part.type }) }),
    onError: () => 'The model has failed',
  }) as ReturnType<typeof toUIMessageStream>
}

function callStep(kind: Kind, dice: Dice): Parts {
  const input = JSON.stringify({ city: kind === 'tool error' ? 'nowhere' : pick(dice, ['Zürich', 'São "Paulo"']) })
  return [
    { type: 'stream-start', warnings: [] },
    ...some(dice, () => reasoning(dice)),
    { type: 'tool-input-start', id: 'call-1', toolName: 'weather' },
    ...pieces(dice, input).map((delta) => ({ type: 'tool-input-delta' as const, id: 'call-1', delta })),
    { type: 'tool-input-end', id: 'call-1' },
    { type: 'tool-call', toolCallId: 'call-1', toolName: 'weather', input },
    { type: 'finish', finishReason: { unified: 'tool-calls', raw: undefined }, usage },
  ]
}

function lastStep(kind: Kind, dice: Dice): Parts {
  return [
    { type: 'stream-start', warnings: [] },
    ...(kind === 'reasoning' ? reasoning(dice) : some(dice, () => reasoning(dice))),
    ...text(dice, 1),
    ...(kind === 'file' ? [file(1 + dice(40))] : kind === 'long file' ? [file(1500 + dice(500))] : []),
    ...(kind === 'source' ? [source(dice)] : some(dice, () => [source(dice)])),
    ...(kind === 'error' ? [{ type: 'error' as const, error: new Error('secret of the model') }] : []),
    ...text(dice, 2),
    ...(kind === 'broken off'
      ? []
      : [{ type: 'finish' as const, finishReason: { unified: 'stop' as const, raw: undefined }, usage }]),
  ]
}

function text(dice: Dice, n: number): Parts {
  const id = `text-${n}`
  const deltas = Array.from({ length: 1 + dice(4) }, () => ({
    type: 'text-delta' as const,
    id,
    delta: pick(dice, words),
  }))
  return [{ type: 'text-start', id }, ...deltas, { type: 'text-end', id }]
}

function reasoning(dice: Dice): Parts {
  const id = 'reasoning-1'
  const deltas = Array.from({ length: 1 + dice(3) }, () => ({
    type: 'reasoning-delta' as const,
    id,
    delta: pick(dice, words),
  }))
  return [{ type: 'reasoning-start', id }, ...deltas, { type: 'reasoning-end', id }]
}

function file(bytes: number): Parts[number] {
  return { type: 'file', mediaType: 'image/png', data: { type: 'data', data: new Uint8Array(bytes).fill(7) } }
}

function source(dice: Dice): Parts[number] {
  return {
    type: 'source',
    sourceType: 'url',
    id: `source-${dice(9)}`,
    url: 'https://example.com/?a=1&b=2',
    title: pick(dice, words),
  }
}

const pick = <T>(dice: Dice, from: readonly T[]): T => from[dice(from.length)]!
const some = (dice: Dice, parts: () => Parts): Parts => (dice(2) === 0 ? [] : parts())

/** Cuts a text into pieces of up to six characters. */
function pieces(dice: Dice, whole: string): string[] {
  const found: string[] = []
  for (let at = 0; at < whole.length; ) {
    const end = at + 1 + dice(6)
    found.push(whole.slice(at, end))
    at = end
  }
  return found
}
