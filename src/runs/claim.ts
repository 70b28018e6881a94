import { AppError } from '../errors.ts'
import { checkKey } from '../hub/message.ts'
import type { ClaimOptions } from './run.ts'

/** Default, least and greatest lease, and greatest time after it, in ms. */
export const LEASE_MS = 15_000
export const MIN_LEASE_MS = 100
export const MAX_LEASE_MS = 3_600_000

/** The options of a claim, with their defaults. @throws AppError `parameter_invalid`, `key_invalid` */
export function parseClaim({ leaseMs = LEASE_MS, graceMs = leaseMs, key }: ClaimOptions) {
  if (!isWithin(leaseMs, MIN_LEASE_MS)) throw outside('leaseMs', leaseMs, MIN_LEASE_MS)
  if (!isWithin(graceMs, 0)) throw outside('graceMs', graceMs, 0)
  if (key !== undefined) checkKey(key)
  return { leaseMs, graceMs, key }
}

function isWithin(ms: number, least: number): boolean {
  return Number.isInteger(ms) && ms >= least && ms <= MAX_LEASE_MS
}

function outside(name: string, ms: number, least: number): AppError {
  return new AppError(
    'parameter_invalid',
    `Cannot use ${ms} as ${name}: expected a whole number of ms from ${least} to ${MAX_LEASE_MS}`,
  )
}
