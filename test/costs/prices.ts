/**
 * Prices of the Workers Paid plan in US dollars, and what it includes each month, as Cloudflare's documentation says on this date:
 *
 * - requests to the Worker: https://developers.cloudflare.com/workers/platform/pricing/ (Workers, Standard)
 * - requests to objects, alarms among them, and duration: https://developers.cloudflare.com/durable-objects/platform/pricing/ (Compute billing)
 * - rows and storage: the same page (Storage billing, SQLite storage backend). Deleted rows and `setAlarm()` count as rows written
 * - logs, from 2026-12-01: https://developers.cloudflare.com/observability/pricing/
 */
export const PRICES_OF = '2026-11-28'

/** The minimum charge of a month. */
export const PLAN = 5

/** What is billed: `price` for each `per` beyond what is included. */
export const prices = {
  workerRequests: { included: 10e6, price: 0.3, per: 1e6 },
  objectRequests: { included: 1e6, price: 0.15, per: 1e6 },
  gigabyteSeconds: { included: 400_000, price: 12.5, per: 1e6 },
  rowsWritten: { included: 50e6, price: 1, per: 1e6 },
  rowsRead: { included: 25e9, price: 0.001, per: 1e6 },
  gigabytesStored: { included: 5, price: 0.2, per: 1 },
}

export type Item = keyof typeof prices

/** The memory that each object is billed for while it is awake, whatever it uses: 128 MB. */
export const OBJECT_GB = 0.128

/** What the free plan includes each day: the same pages. What exceeds it fails until 00:00 UTC. */
export const free = { requests: 100_000, gigabyteSeconds: 13_000, rowsWritten: 100_000 }

/** Logs are no item of the table: how many bytes a log event has cannot be counted here. */
export const logPrice = { included: 50, price: 0.25 }

/** What an amount costs beyond what is included. */
export function cost(item: Item, amount: number): number {
  const { included, price, per } = prices[item]
  return (Math.max(0, amount - included) * price) / per
}
