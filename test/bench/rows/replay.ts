import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type Server, start } from '../../server/server.ts'
import { type FilledLog, filledLog, RETENTION_COUNT } from '../filled.ts'
import { Live } from '../live.ts'
import { median, quantile } from '../quantile.ts'
import type { Replay, Replayed } from '../replayer.ts'
import type { Measurements, Progress, Row } from '../row.ts'

const SIZES = [100_000, 1_000_000] as const
const READERS = 50
/** The sizes as text. */
const [SMALL, LARGE] = SIZES.map((size) => size.toLocaleString('en'))
const WARM_MS = 2000
const WARM_ENTRIES = 40_000
const ALONE_MS = 6000
/** The part of a deliberately slow replay that is measured. */
const BESIDE_MS = 12_000
/** Both are measured in turn, so that other work of the machine affects both. The p99 of a few seconds would depend on two publishes. */
const ROUNDS = 4
const LONGEST_MS = 10 * 60_000

/** How fast one reader may receive history. */
const paces = [
  { pace: 'default', settings: {} },
  { pace: 'as fast as it can', settings: { REPLAY_RATE: '1000000000' } },
]

export const replay: Row = {
  name: 'replay',
  says: `Replays half of a log by a pattern, and measures how this delays ${READERS} live readers of another topic.`,
  async run(progress): Promise<Measurements> {
    const logs: FilledLog[] = []
    for (const size of SIZES) logs.push(await filledLog(size, progress))
    const [small, large] = logs as [FilledLog, FilledLog]
    const measured: Paced[] = []
    for (const { pace, settings } of paces) {
      const say: Progress = (text) => progress(`REPLAY_RATE ${pace}: ${text}`)
      measured.push({ pace, short: await nobodyElse(small, settings, say), ...(await beside(large, settings, say)) })
    }
    return { lines: measured.flatMap(linesOf), ratios: measured.flatMap(ratiosOf) }
  },
}

interface Paced extends Beside {
  readonly pace: string
  readonly short: Replayed
}

interface Beside {
  readonly long: Replayed
  /** For each round the live latencies in ms without and with a replay, and that replay. */
  readonly rounds: readonly {
    readonly alone: readonly number[]
    readonly live: readonly number[]
    readonly replayed: Replayed
  }[]
}

async function nobodyElse(log: FilledLog, settings: Record<string, string>, progress: Progress): Promise<Replayed> {
  const server = await serve(log, settings)
  progress(`replays half of ${log.size.toLocaleString('en')} entries`)
  const replayed = await replayHalf(server, log)
  await server.kill('SIGTERM')
  return replayed
}

async function beside(log: FilledLog, settings: Record<string, string>, progress: Progress): Promise<Beside> {
  const server = await serve(log, settings)
  progress(`replays half of ${log.size.toLocaleString('en')} entries`)
  const long = await replayHalf(server, log)
  const live = await Live.of(server, READERS)
  await live.during(pause(WARM_MS))
  const rounds: Beside['rounds'][number][] = []
  for (let n = 1; n <= ROUNDS; n++) {
    progress(`live readers alone, round ${n} of ${ROUNDS}`)
    const alone = await live.during(pause(ALONE_MS))
    progress(`live readers beside a replay, round ${n} of ${ROUNDS}`)
    const replaying = replayFrom(server, log, 'from=earliest', BESIDE_MS)
    rounds.push({ alone, live: await live.during(replaying), replayed: await replaying })
  }
  live.close()
  await server.kill('SIGTERM')
  return { long, rounds }
}

/** Starts a server and replays some events, so that its code is compiled. */
async function serve(log: FilledLog, settings: Record<string, string>): Promise<Server> {
  const server = await start({ LOG: `sqlite:${log.path}`, RETENTION_COUNT: `${RETENTION_COUNT}`, ...settings })
  await replayFrom(server, log, `lastEventId=${log.epoch}-${log.size - WARM_ENTRIES}`)
  return server
}

async function replayHalf(server: Server, log: FilledLog): Promise<Replayed> {
  const replayed = await replayFrom(server, log, 'from=earliest')
  if (replayed.events !== log.half.count)
    throw new Error(`Cannot replay ${log.half.count} entries: ${replayed.events} arrived`)
  return replayed
}

async function replayFrom(
  { port }: Server,
  { epoch, half }: FilledLog,
  beginning: string,
  longestMs = LONGEST_MS,
): Promise<Replayed> {
  const workerData: Replay = { port, path: `/event?topic=half/**&${beginning}`, lastId: `${epoch}-${half.last}` }
  const worker = new Worker(new URL('../replayer.ts', import.meta.url), { workerData })
  const enough = setTimeout(() => worker.postMessage('enough'), longestMs)
  const [replayed] = (await once(worker, 'message').finally(() => clearTimeout(enough))) as [Replayed] // rejects if the worker failed
  return replayed
}

function linesOf({ pace, short, long, rounds }: Paced): Measurements['lines'] {
  const line = (what: string, replayed?: Replayed, late?: (round: Beside['rounds'][number]) => readonly number[]) => ({
    REPLAY_RATE: pace,
    what,
    events: replayed?.events,
    s: replayed && replayed.ms / 1000,
    'events/s': replayed && (1000 * replayed.events) / replayed.ms,
    'live p50, ms': late && median(rounds.flatMap(late)),
    'live p99, ms': late && quantile(rounds.flatMap(late), 0.99),
  })
  const all = (of: (replayed: Replayed) => number) => rounds.reduce((sum, { replayed }) => sum + of(replayed), 0)
  return [
    line(`half of ${SMALL}, no other readers`, short),
    line(`half of ${LARGE}, no other readers`, long),
    line('live readers alone', undefined, ({ alone }) => alone),
    line(
      `half of ${LARGE}, or ${BESIDE_MS / 1000} s of it, beside live readers, ${ROUNDS} times`,
      { events: all(({ events }) => events), ms: all(({ ms }) => ms) },
      ({ live }) => live,
    ),
  ]
}

function ratiosOf({ pace, short, long, rounds }: Paced): Measurements['ratios'] {
  const p99 = (late: (round: Beside['rounds'][number]) => readonly number[]) => quantile(rounds.flatMap(late), 0.99)
  return [
    { of: `time for ${LARGE} / ${SMALL}, ${pace}`, value: long.ms / short.ms, goal: 'about 10' },
    {
      of: `live p99 beside a replay / alone, ${pace}`,
      value: p99(({ live }) => live) / p99(({ alone }) => alone),
      goal: '≤ 2',
    },
  ]
}
