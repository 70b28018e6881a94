import type { Context } from 'hono'
import type { Auth, Granted } from '../auth/auth.ts'

/** What a request may do, and the cookie to set with its answer. @throws AppError of `Auth.grantOf` */
export function grantOf(c: Context, auth: Auth, ticket?: string): Granted | Promise<Granted> {
  return auth.grantOf((name) => c.req.header(name), ticket)
}
