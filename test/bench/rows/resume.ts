import { DatabaseSync } from 'node:sqlite'
import { sqlLog } from '../../../src/log/sql.ts'
import { Filter } from '../../../src/topic.ts'
import { start } from '../../server/server.ts'
import { Stream } from '../../server/stream.ts'
import { costOf, countedSql, planOf } from '../counted.ts'
import { type FilledLog, filledLog, QUIET, RETENTION_COUNT } from '../filled.ts'
import { median, quantile } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'

const SIZES = [10_000, 100_000, 1_000_000, 10_000_000] as const
const READS = 500
const RESUMES = 60
/** The limit of one read by a subscription. */
const limit = { count: 256, bytes: 64 * 1024 }

interface Place {
  readonly size: number
  readonly times: number[]
  /** Resumes once. Resolves with the time in ms. */
  once(): Promise<number>
  close(): Promise<unknown>
}

export const resume: Row = {
  name: 'resume',
  says: `Resumes ${QUIET} events of one quiet topic, spread through logs of ten thousand to ten million entries.`,
  async run(progress): Promise<Measurements> {
    const logs: FilledLog[] = []
    for (const size of SIZES) logs.push(await filledLog(size, progress))

    const reads = logs.map(reading)
    await alternately(reads, READS, (n) => progress(`reads in this process, ${n} of ${READS}`))
    const costs = await Promise.all(reads.map((read) => read.cost()))
    const plans = reads.at(-1)!.plans([...costs.at(-1)!.calls.keys()])
    for (const read of reads) await read.close()

    const resumes = await Promise.all(logs.map(resuming))
    await alternately(resumes, RESUMES, (n) => progress(`resumes over HTTP, ${n} of ${RESUMES}`))
    for (const each of resumes) await each.close()

    const line = (where: string, { size, times }: Place, rows?: number) => ({
      where,
      'entries in the log': size,
      'rows read': rows,
      'first, ms': times[0]!,
      'median, ms': median(times),
      'p90, ms': quantile(times, 0.9),
    })
    const ratio = (of: string, places: readonly Place[]) => ({
      of: `${of}, ten million / ten thousand`,
      value: median(places.at(-1)!.times) / median(places[0]!.times),
      goal: '≤ 3',
    })
    return {
      lines: [
        ...reads.map((place, i) => line('log.read', place, costs[i]!.rows)),
        ...resumes.map((place) => line('GET /event', place)),
      ],
      ratios: [
        ratio('log.read', reads),
        ratio('GET /event', resumes),
        { of: 'rows read, ten million / ten thousand', value: costs.at(-1)!.rows / costs[0]!.rows, goal: '1' },
      ],
      notes: plans.map(([text, plan]) => `\`${text}\`: ${plan}`),
    }
  },
}

/** Measures the places in turn, so that other work of the machine affects all of them. */
async function alternately(places: readonly Place[], times: number, progress: (n: number) => void): Promise<void> {
  for (let n = 1; n <= times; n++) {
    progress(n)
    for (const place of places) place.times.push(await place.once())
  }
}

function reading({ path, home, size }: FilledLog) {
  const database = new DatabaseSync(path)
  const sql = countedSql(database)
  const log = sqlLog(sql, { durability: 'disk', home })
  const filter = Filter.parse(['quiet'])
  const read = async () => {
    const { entries } = await log.read(0, limit, filter)
    if (entries.length !== QUIET) throw new Error(`Cannot read ${QUIET} entries: there are ${entries.length}`)
  }
  return {
    size,
    times: [],
    async once() {
      const began = performance.now()
      await read()
      return performance.now() - began
    },
    cost: () => costOf(sql, read),
    plans: (texts: readonly string[]) => texts.map((text) => [text, planOf(database, text)] as const),
    close: () => log.close(),
  }
}

/** Starts a server whose window stays empty, because nothing is published. */
async function resuming({ path, epoch, size }: FilledLog): Promise<Place> {
  const server = await start({
    LOG: `sqlite:${path}`,
    RETENTION_COUNT: `${RETENTION_COUNT}`,
    RETENTION_BYTES: '100GiB',
  })
  return {
    size,
    times: [],
    async once() {
      const began = performance.now()
      const stream = new Stream(server.port, '/event?topic=quiet', { lastEventId: `${epoch}-0` })
      await stream.until(() => stream.reader.data.length === QUIET)
      const ms = performance.now() - began
      stream.socket.destroy()
      return ms
    },
    close: () => server.kill('SIGTERM'),
  }
}
