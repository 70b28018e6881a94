import { setTimeout as pause } from 'node:timers/promises'
import { folder, freePort, type Server } from '../../../server/server.ts'
import { holds } from '../running.ts'
import { ended, missing, right, type Scene, wrong } from '../scene.ts'
import { publish } from '../stage.ts'

const READY_MS = 20_000
const KILLS = 2
const BETWEEN_KILLS_MS = 700
/** How long the hub is away, so that clients meet refused connections. */
const AWAY_MS = 700
const EVERY_MS = 20
/** How long a client may take to come back. */
const PATIENCE_MS = 8000

export const kill: Scene = {
  name: 'kill -9',
  says: `the hub is killed ${KILLS} times while events are published, and is away for at least ${AWAY_MS} ms: nothing is lost or doubled`,
  async play(stage) {
    const settings = { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db` }
    let hub: Server = await stage.hub(settings)
    const program = stage.run(`${hub.url}/event?topic=any`)
    if (!(await holds(() => program.hasExited || program.hears('hub.open'), READY_MS))) return wrong('hears nothing')

    const published: string[] = []
    let isOver = false
    const publishing = (async () => {
      for (; !isOver; await pause(EVERY_MS)) {
        const data = `event ${published.length}`
        // After a failure the outcome is unknown, so the same key is published again.
        if (await publish(hub, { data, key: data }).catch(() => undefined)) published.push(data)
      }
    })()
    for (let killed = 0; killed < KILLS; killed++) {
      await pause(BETWEEN_KILLS_MS)
      await hub.kill('SIGKILL')
      await pause(AWAY_MS)
      hub = await stage.hub(settings)
      // The next kill meets a client that is back.
      await holds(async () => program.hasExited || (await hub.readers()) === 1, PATIENCE_MS)
    }
    isOver = true
    await publishing
    await holds(() => program.hasExited || program.entries.at(-1)?.data === published.at(-1), PATIENCE_MS)
    if (program.hasExited) return ended(program)
    const lacks = missing(published, program)
    return lacks ? wrong(lacks) : right('0 lost, 0 doubled')
  },
}
