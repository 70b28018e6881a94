import { MAX_LEASE_MS, MIN_LEASE_MS } from '../runs/claim.ts'
import { time } from './schema.ts'

// Texts of times up to an hour, from 100 ms and from 0. A test compares them with the bounds of a claim.
const MS = '[1-9]\\d{2,5}|[12]\\d{6}|3[0-5]\\d{5}|3600000'
const S = '[1-9]\\d{0,2}|[12]\\d{3}|3[0-5]\\d{2}|3600'
const M = '[1-9]|[1-5]\\d|60'

/** A lease in a query. */
export const lease = (description: string) =>
  time(description, MIN_LEASE_MS, MAX_LEASE_MS, '15s', `^(?:(?:${MS})ms|(?:${S})s|(?:${M})m|1h)$`)

/** A time after a lease, in a query. */
export const grace = (description: string) =>
  time(description, 0, MAX_LEASE_MS, '30s', `^(?:(?:0|[1-9]\\d?|${MS})ms|(?:0|${S})s|(?:0|${M})m|[01]h)$`)
