import type { Batch } from '../group.ts'
import { type Entry, type Message, makeEntry, type Receipt, weigh } from '../log.ts'
import { type Refusal, refusalError } from '../rules.ts'
import { outcomeText } from '../run-rules.ts'

/** Most messages, and most bytes of them, in one commit: while a script runs, the server answers nobody else. */
const MAX_MESSAGES = 1000
const MAX_BYTES = 1024 ** 2

/** The reply of `commit` for one batch: a receipt for each message; or a code, the number of the refused message, from 1, and the end of a lease. */
export type Outcome =
  | readonly (readonly [seq: number, time: number, isDuplicate: number])[]
  | readonly [Refusal['code'], number, leaseEnd?: number]

/** Splits batches into parts, one for each commit. A batch is never split; a batch that exceeds the limits is a part of its own. */
export function* partsOf(batches: readonly Batch[]): Iterable<readonly Batch[]> {
  let part: Batch[] = []
  let [count, bytes] = [0, 0]
  for (const batch of batches) {
    const batchBytes = batch.messages.reduce((sum, message) => sum + weigh(message), 0)
    if (part.length > 0 && (count + batch.messages.length > MAX_MESSAGES || bytes + batchBytes > MAX_BYTES)) {
      yield part
      part = []
      count = bytes = 0
    }
    part.push(batch)
    count += batch.messages.length
    bytes += batchBytes
  }
  yield part
}

/** Encodes the argument `batches` of `commit`. */
export function encodeBatches(batches: readonly Batch[]): string {
  return JSON.stringify(
    batches.map(({ messages, hashes }) => messages.map((message, i) => encode(message, hashes?.[i]))),
  )
}

function encode(message: Message, hash: string | undefined) {
  const { topic, data, event, retry, key, close, run } = message
  return {
    ...{ t: topic, w: weigh(message), d: data, e: event },
    ...{ r: retry === undefined ? undefined : `${retry}`, k: key, h: hash, c: close ? '1' : undefined, p: run },
    o: outcomeText(message),
  }
}

/** The entries of a batch that a commit has appended. */
export function appendedOf({ messages }: Batch, outcome: Outcome): readonly Entry[] {
  if (isRefusal(outcome)) return []
  return outcome.flatMap(([seq, time, isDuplicate], i) =>
    isDuplicate === 1 ? [] : [makeEntry(messages[i]!, { seq, time })],
  )
}

/** Resolves a batch with its receipts, or rejects it with the reason why it was refused. */
export function settle(batch: Batch, outcome: Outcome): void {
  if (isRefusal(outcome)) {
    const [code, number, leaseEnd] = outcome
    batch.refuse(refusalError({ code, index: number - 1 }, batch.messages, () => leaseEnd))
  } else batch.accept(outcome.map(([seq, time, isDuplicate]): Receipt => ({ seq, time, duplicate: isDuplicate === 1 })))
}

function isRefusal(outcome: Outcome): outcome is readonly [Refusal['code'], number, number?] {
  return typeof outcome[0] === 'string'
}
