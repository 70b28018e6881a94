import type { Context } from 'hono'
import type { Auth, Granted } from '../auth/auth.ts'

/** What a request may do, and the cookie to set with its answer. @throws AppError of `Auth.grantOf` */
export function grantOf(c: Context, auth: Auth, ticket?: string): Granted | Promise<Granted> {
  return auth.grantOf({ authorization: c.req.header('authorization'), cookie: c.req.header('cookie'), ticket })
}
