import type { Routes } from './door.ts'
import { event } from './event.ts'
import { health } from './health.ts'
import { joinTables } from './route-tables.ts'
import { runs } from './runs.ts'
import { send } from './send.ts'
import { session } from './session.ts'
import { topics } from './topics.ts'

/**
 * The hub's own routes.
 *
 * @example
 * const withHealth: Routes = () => ({ '/alive': { methods: { GET: (c) => c.text('yes') } } })
 * const extended = createApp({ hub, routes: [core, withHealth] })
 */
export const core: Routes = (door) =>
  joinTables([send(door), event(door), topics(door), runs(door), session(door), health(door)])
