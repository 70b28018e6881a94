import { whenGone } from '../client-gone.ts'
import { type AppError, isCode } from '../errors.ts'
import { randomName } from '../hub/random.ts'
import { type Claimed, nearRuns } from '../runs/near.ts'
import type { Door } from './door.ts'
import { type Ingested, ingest, type Producer, type Progress, withProgress } from './ingest.ts'
import type { Items } from './items.ts'

/** How a body is a run. */
export interface BodyRun {
  readonly leaseMs: number
  readonly graceMs?: number | undefined
  /** The data of the event that ends the run; undefined for a body of NDJSON, where an item with `close` does. */
  readonly done: string | undefined
}

/** How much of the body was published, and what became of the run. */
export interface IngestedRun extends Ingested {
  readonly fence: number
  /** Somebody asked for a stop: the run has ended, and the rest of the body was not read. */
  readonly stopped?: true
  /** When the lease ends, if the body did not end the run. */
  readonly leaseEnd?: string
  /** Somebody has asked for a stop, and the body did not end the run. */
  readonly stop?: true
}

/** How often during a lease the body is looked at for signs of life. */
const RENEWALS = 3

/**
 * Publishes an admitted body as a whole run. The body ends the run only by saying so: with an item that closes the topic, or in an event
 * stream with the event whose data is `done`. After any other end of the body, clean or not, the lease goes on: when the left side of a
 * pipe is killed, the right side sees a clean end. Bytes that arrive are signs of life, and bytes that wait for the hub; an open connection
 * is none.
 *
 * A body whose answer was lost, and which is sent again with its key, takes its run up again. If it has ended the run, it gets its answer.
 *
 * @throws AppError of `ingest`; `run_taken`, `run_lost`, `topic_closed`; `parameter_invalid`
 */
export async function ingestRun(door: Door, items: Items, sender: Producer, run: BodyRun): Promise<IngestedRun> {
  const { leaseMs, graceMs } = run
  const { c, topic, key } = sender
  await door.spend(c, 1)
  let claimed: Claimed
  try {
    const options = { leaseMs, ...(graceMs !== undefined && { graceMs }), ...(key !== undefined && { key }) }
    claimed = await nearRuns(door.hub).take(topic!, options)
  } catch (error) {
    if (key !== undefined && isCode(error, 'topic_closed')) return ingestAgain(door, items, sender, run, error)
    throw error
  }
  return produce(door, items, sender, run, claimed)
}

async function produce(
  door: Door,
  items: Items,
  sender: Producer,
  { leaseMs, done }: BodyRun,
  claimed: Claimed,
): Promise<IngestedRun> {
  const producer = nearRuns(door.hub).produce(claimed, { isElsewhere: true })
  const { token, fence } = producer
  let seen = items.received
  const renewals = setInterval(() => {
    if (items.received === seen && !items.isBehind) return
    seen = items.received
    producer.renew().catch(() => {}) // the producer's signal tells if the run is lost
  }, leaseMs / RENEWALS)
  const stopListening = whenGone(producer.signal, () => items.end(producer.signal.reason as AppError))
  try {
    const ingested = await ingest(door, items, { ...sender, run: token, done })
    if (ingested.ended) return { ...ingested, fence }
    const { leaseEnd, isStopAsked } = await producer.renew().catch((error) => {
      throw withProgress(error, ingested)
    })
    const goesOn = { ...ingested, fence, leaseEnd: new Date(leaseEnd!).toISOString() }
    return isStopAsked ? { ...goesOn, stop: true } : goesOn
  } catch (error) {
    if (!isCode(error, 'run_stopped')) throw error
    const { taken, lastId } = progressOf(error)
    await producer.end({ outcome: 'stopped' }).catch((error) => {
      throw withProgress(error, { taken, lastId })
    })
    return { taken, lastId, fence, stopped: true }
  } finally {
    clearInterval(renewals)
    stopListening()
    producer.release()
  }
}

/** Answers a body whose topic is closed: the log knows the items of the body that has ended the run, or was stopped, by their keys. */
async function ingestAgain(
  door: Door,
  items: Items,
  sender: Producer,
  { done }: BodyRun,
  closed: AppError,
): Promise<IngestedRun> {
  const run = await nearRuns(door.hub).state(sender.topic!)
  if (!run) throw closed
  const { fence, outcome } = run
  try {
    const ingested = await ingest(door, items, { ...sender, run: randomName(), done }) // no claim has this token
    if (ingested.ended) return { ...ingested, fence }
    throw withProgress(closed, ingested)
  } catch (error) {
    if (outcome !== 'stopped' || !isCode(error, 'topic_closed')) throw error
    const { taken, lastId } = progressOf(error)
    if (taken === 0) throw error // the run may be that of another producer
    return { taken, lastId, fence, stopped: true }
  }
}

/** How much of the body is in the log, by an error of `ingest`. */
function progressOf({ more }: AppError): Progress {
  return more as unknown as Progress
}
