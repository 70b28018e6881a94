import { type Driven, drive } from '../load/drive.ts'
import { median } from '../quantile.ts'
import type { Row } from '../row.ts'
import { hub } from '../served.ts'

const ROUNDS = 3
const READERS = 1000
const BYTES = 128
const ENVELOPE = '&envelope=true'

/** What readers add to their query, by turns. */
const variantsOf = {
  'as published': [''],
  'envelope=true': [ENVELOPE],
  'half of them with envelope=true': ['', ENVELOPE],
}

/** How often an event is encoded, and what all its readers cost, if they ask for one variant or for two. */
export const variants: Row = {
  name: 'variants',
  says: `Delivers messages of ${BYTES} bytes to ${READERS.toLocaleString('en')} readers, as published and in envelopes.`,
  async run(progress) {
    const results = new Map<string, Driven[]>()
    for (let round = 1; round <= ROUNDS; round++)
      for (const [what, asking] of Object.entries(variantsOf)) {
        progress(`round ${round} of ${ROUNDS}: ${what}`)
        const server = await hub()
        const load = { readers: READERS, topics: 1, inFlight: 1, bytes: BYTES, asking, warmMs: 700, forMs: 1500 }
        results.set(what, [...(results.get(what) ?? []), await drive(server, load)])
        await server.stop()
      }
    const figure = (what: string, of: (driven: Driven) => number | undefined) =>
      median(results.get(what)!.map((driven) => of(driven) ?? Number.NaN))
    const [plain, ...others] = Object.keys(variantsOf)
    return {
      lines: [...results].map(([what, driven]) => ({
        what,
        'deliveries/s': figure(what, ({ deliveries, ms }) => (1000 * deliveries) / ms),
        'CPU, µs a delivery': figure(what, ({ cpuUs }) => cpuUs),
        'p50, ms': figure(what, ({ p50 }) => p50),
        'missing, wrong': driven.reduce((sum, { missing, wrong }) => sum + missing + wrong, 0),
      })),
      ratios: others.map((what) => ({
        of: `CPU a delivery, ${what} / ${plain}`,
        value: figure(what, ({ cpuUs }) => cpuUs) / figure(plain!, ({ cpuUs }) => cpuUs),
        goal: '≤ 1.1',
      })),
      notes: [
        `medians of ${ROUNDS} rounds, each on a new hub with its log in memory; one message is in flight at a time`,
      ],
    }
  },
}
