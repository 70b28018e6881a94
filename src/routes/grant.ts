import type { Context } from 'hono'
import type { Auth, Credentials } from '../auth/auth.ts'
import type { Grant } from '../auth/authorize.ts'

/** What a request may do, and the cookie to set with its answer. @throws AppError of `Auth.grantOf` */
export async function grantOf(c: Context, auth: Auth, ticket?: string): Promise<{ grant: Grant; cookie?: string }> {
  const credentials: Credentials = {
    authorization: c.req.header('authorization'),
    cookie: c.req.header('cookie'),
    ticket,
  }
  return auth.grantOf(credentials)
}
