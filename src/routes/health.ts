import type { Handler } from 'hono'
import type { Auth } from '../auth/auth.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'

/** `/health`: the process answers. */
export const health: Handler = (c) => c.json({ status: 'ok' }, 200, { 'Cache-Control': 'no-store' })

/**
 * `/ready`: the hub takes messages and readers: its log can be written and read, and it is not draining. Else 503, with the reason.
 * `warnings` tells what an operator should mend although the hub works.
 */
export function ready(hub: Hub, auth: Auth): Handler {
  return async (c) => {
    c.header('Cache-Control', 'no-store')
    try {
      await hub.check()
      const warnings = await hub.warnings()
      // How many listen is nobody's business where everybody has to say who they are.
      return c.json({
        status: 'ready',
        durability: await hub.durability(),
        ...(warnings.length > 0 && { warnings }),
        ...(!auth.isClosed && { readers: hub.readers }),
      })
    } catch (cause) {
      if (!(cause instanceof AppError)) throw cause
      return c.json({ status: cause.code, detail: cause.message }, 503)
    }
  }
}
