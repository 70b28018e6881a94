import { afterEach, describe, expect, test } from 'vitest'
import { isRest } from '../part.ts'
import { runs } from '../seed.ts'
import { withoutRedis } from '../server/redis.ts'
import { cleanUp } from '../server/server.ts'
import { HubProcesses } from './runs/hub.ts'
import { play } from './runs/scene.ts'

const places = [
  { name: 'one hub on SQLite', open: HubProcesses.onSqlite, kills: isRest ? runs(200, 2000) : 5, cannotRun: '' },
  {
    name: 'two nodes on Redis',
    open: HubProcesses.onRedis,
    kills: runs(40, 1000),
    cannotRun: withoutRedis,
  },
]

/** How late a busy machine may be, beside the second of R3, in ms. */
const BUSY_MS = 5000

afterEach(cleanUp)

describe.each(isRest ? places : places.slice(0, 1))(
  'runs of $name, whose processes and producers are killed',
  ({ open, kills, cannotRun }) => {
    test('end, once each; each reader gets each event once, and then how the run ended', {
      timeout: runs(isRest ? 600_000 : 60_000, 3_600_000),
    }, async ({ skip }) => {
      skip(cannotRun !== '', cannotRun)
      const hub = await open()
      const seen = await play(hub, {
        kills,
        lanes: isRest ? 8 : 4,
        everyMs: isRest ? [1000, 4000] : [500, 1500],
      }).finally(() => hub.end())
      const { broken, ...figures } = seen
      console.log(JSON.stringify(figures))
      expect(broken.slice(0, 10)).toEqual([])
      expect(seen.ended).toEqual(seen.started)
      expect(seen).toMatchObject({ stuck: 0, doubled: 0, missing: 0, superseded: 0 })
      expect(seen.kills.hubs + seen.kills.producers).toBeGreaterThanOrEqual(kills)
      expect(seen.latestMs).toBeLessThan(1000 + BUSY_MS)
    })
  },
)
