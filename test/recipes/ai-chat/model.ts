import { simulateReadableStream } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined },
}

/** Stands for a model: counts to `count`, a word every `ms`. */
export function counting(count: number, ms: number): MockLanguageModelV4 {
  const id = 'text'
  const words = Array.from({ length: count }, (_, i) => ({ type: 'text-delta' as const, id, delta: `${i + 1} ` }))
  const finish = { type: 'finish' as const, finishReason: { unified: 'stop' as const, raw: undefined }, usage }
  const chunks = [{ type: 'text-start' as const, id }, ...words, { type: 'text-end' as const, id }, finish]
  return new MockLanguageModelV4({
    doStream: async () => ({ stream: simulateReadableStream({ chunks, chunkDelayInMs: ms }) }),
  })
}
