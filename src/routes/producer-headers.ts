import type { Context } from 'hono'
import { AppError } from '../errors.ts'

/** The `Idempotency-Key` of a request. @throws AppError `key_invalid` */
export function keyOf(c: Context): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x20-\x7e]{1,180}$/.test(key)) return key
  throw new AppError('key_invalid', 'Cannot use this Idempotency-Key: expected 1 to 180 visible ASCII characters')
}

/** The token of a run that a request shows. @throws AppError `parameter_invalid`: no run has such a token */
export function tokenOf(c: Context): string | undefined {
  const token = c.req.header('tidings-run')
  if (token === undefined || /^[\x21-\x7e]{1,100}$/.test(token)) return token
  throw new AppError('parameter_invalid', 'Cannot use this Tidings-Run: expected the token of a claim')
}
