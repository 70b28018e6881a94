/** Prints what hubs on Cloudflare Workers cost a month: `npm run costs`. */
import { parseConfig } from '../../src/config/config.ts'
import { counted } from './counted.ts'
import { cost, free, type Item, logPrice, OBJECT_GB, PLAN, PRICES_OF, prices } from './prices.ts'

const DAYS = 30
const STORED_MONTHS = 12
const { hub, logOptions } = parseConfig()
const LIFETIME_S = hub.lifetimeMs / 1000
const RETENTION_COUNT = logOptions.retention.count!

interface Use {
  readonly what: string
  readonly hubs: number
  /** Readers of each hub. */
  readonly readers: number
  /** Hours of a day in which a hub has readers and events. */
  readonly hours: number
  /** Events of each hub a second, during these hours. */
  readonly events: number
  /** Rows that a publish writes. */
  readonly rows: number
}

const busy: Use = {
  what: 'a busy hub: 1,000 readers, 10 events a second',
  ...{ hubs: 1, readers: 1000, hours: 24, events: 10, rows: counted.rowsAtBound },
}
const uses: readonly Use[] = [
  {
    what: 'a quiet hub: 10 readers, an event a minute',
    ...{ hubs: 1, readers: 10, hours: 24, events: 1 / 60, rows: counted.rows },
  },
  busy,
  {
    what: 'a thousand tenants: 10 readers each, 8 hours a day, an event a minute',
    ...{ hubs: 1000, readers: 10, hours: 8, events: 1 / 60, rows: counted.rows },
  },
]

/** What a use takes in a month, of everything that is billed. */
function taken({ hubs, readers, hours, events, rows }: Use): Record<Item, number> {
  const seconds = hours * 3600 * DAYS
  const published = hubs * events * seconds
  // Each reader comes back when the lifetime of its connection is over.
  const requests = published + (hubs * readers * seconds) / LIFETIME_S
  const stored = hubs * Math.min(RETENTION_COUNT, events * seconds * STORED_MONTHS)
  return {
    workerRequests: requests,
    objectRequests: requests * counted.objectRequests,
    gigabyteSeconds: OBJECT_GB * hubs * seconds,
    rowsWritten: rows * published,
    rowsRead: counted.rowsRead * published,
    gigabytesStored: (counted.bytes * stored) / 1e9,
  }
}

/** The table of the guide. */
export function table(): string {
  const rows = uses.map((use) => {
    const amounts = taken(use)
    const items = Object.keys(prices) as Item[]
    const cells = items.map((item) => `${short(amounts[item])}: ${dollars(cost(item, amounts[item]))}`)
    const total = items.reduce((sum, item) => sum + cost(item, amounts[item]), PLAN)
    return `| ${use.what} | ${cells.join(' | ')} | **$${total.toFixed(0)}** |`
  })
  return [
    '| a month of | requests to the Worker | requests to objects | GB-s of duration | rows written | rows read | GB stored after a year | with the plan ($5) |',
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n')
}

/** What the table rests on, and what it leaves out: lines of the guide. */
export function notes(): string {
  const { workerRequests, objectRequests } = taken(busy)
  const logEvents = workerRequests + objectRequests
  const awakeHours = Math.floor(free.gigabyteSeconds / OBJECT_GB / 3600)
  return `- **The free plan** includes ${short(free.requests)} requests a day, ${short(free.gigabyteSeconds)} GB-s, which are ${awakeHours} hours of one awake hub, and ${short(free.rowsWritten)} rows
  written, which are ${short(free.rowsWritten / counted.rows)} publishes. What exceeds it fails until 00:00 UTC.
- **Counted by tests:** requests, rows, and the bytes of events with 200 bytes of data. **Computed, not measured:** GB-s, which are 0.128 GB
  for each second with a reader, and how often readers come back, which is once in a \`LIFETIME\`.
- **Left out:** the Worker's processor time above 30 million ms, what readers read of the log when they come back, and logs. With
  \`head_sampling_rate = 1\` each request logs an event in the Worker and one in the object: ${short(logEvents)} events for the busy hub. From 2026-12-01
  logs are billed by the GB: ${logPrice.included} GB are included, each further one costs ${dollars(logPrice.price)}. Lower the rate of a busy hub.
`
}

function short(amount: number): string {
  if (amount < 1000) return amount.toFixed(1)
  const [divisor, unit] = amount >= 1e6 ? [1e6, ' M'] : [1e3, ' k']
  return `${(amount / divisor).toFixed(1)}${unit}`
}

function dollars(amount: number): string {
  return `$${amount.toFixed(2)}`
}

if (import.meta.main) console.log(`${table()}\n${notes()}\nPrices of ${PRICES_OF}.`)
