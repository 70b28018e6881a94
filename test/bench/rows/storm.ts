import { drive } from '../load/drive.ts'
import { median } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'
import { hub, hubOnDisk } from '../served.ts'

const READERS = 5000
const MISSED = 100
const ROUNDS = 3

const servers = {
  'LOG=memory:': () => hub(),
  'LOG=sqlite:': () => hubOnDisk(),
  'LOG=memory:, read from the log': () => hub({ WINDOW_COUNT: '1' }),
}

export const storm: Row = {
  name: 'storm',
  says: `Disconnects ${READERS.toLocaleString('en')} readers of one topic, publishes ${MISSED} messages, and reconnects all readers at once with their Last-Event-ID.`,
  async run(progress): Promise<Measurements> {
    const lines: Measurements['lines'][number][] = []
    for (const [name, make] of Object.entries(servers)) {
      const back: number[] = []
      let lost = 0
      for (let round = 1; round <= ROUNDS; round++) {
        progress(`${name}, round ${round} of ${ROUNDS}`)
        const server = await make()
        const load = { readers: READERS, topics: 1, inFlight: 1, bytes: 128, warmMs: 200, forMs: 500, missed: MISSED }
        const driven = await drive(server, load)
        back.push(driven.backMs!)
        lost += driven.missing + driven.wrong
        await server.stop()
      }
      lines.push({
        server: name,
        'all have caught up after, s': median(back) / 1000,
        'deliveries/s meanwhile': (READERS * MISSED * 1000) / median(back),
        'missing, wrong': lost,
      })
    }
    return { lines, ratios: [], notes: [`medians of ${ROUNDS} rounds; the time counts from the first connect`] }
  },
}
