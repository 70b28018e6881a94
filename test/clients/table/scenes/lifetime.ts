import { setTimeout as pause } from 'node:timers/promises'
import { holds } from '../running.ts'
import { ended, missing, right, type Scene, wrong } from '../scene.ts'
import { publish } from '../stage.ts'
import { waits } from '../tap.ts'
import { isObeyed, shortest } from '../told.ts'

const READY_MS = 20_000
const STREAMS = 3
const EVERY_MS = 50
/** How long a client may take for its streams, and then for the last event. */
const PATIENCE_MS = 8000

export const lifetime: Scene = {
  name: 'lifetime',
  says: `streams end after a second: the client comes back ${STREAMS - 1} times, after the time it was told, and nothing is lost or doubled`,
  async play(stage) {
    const hub = await stage.hub({ LIFETIME: '1s' })
    const { exchanges, url } = await stage.tap(hub)
    const program = stage.run(`${url}/event?topic=any`)
    if (!(await holds(() => program.hasExited || program.hears('hub.open'), READY_MS))) return wrong('hears nothing')

    const published: string[] = []
    let isOver = false
    const publishing = (async () => {
      for (; !isOver; await pause(EVERY_MS)) {
        const data = `event ${published.length}`
        published.push(data)
        await publish(hub, { data })
      }
    })()
    await holds(() => program.hasExited || exchanges.length >= STREAMS, PATIENCE_MS)
    isOver = true
    await publishing
    await holds(() => program.hasExited || program.entries.at(-1)?.data === published.at(-1), PATIENCE_MS)
    if (program.hasExited) return ended(program)
    if (exchanges.length < STREAMS) return wrong(`${exchanges.length} streams in ${PATIENCE_MS / 1000} s`)
    const lacks = missing(published, program)
    if (lacks) return wrong(lacks)
    const waited = waits(exchanges)
    return isObeyed(waited, stage.jitter) ? right(shortest(waited)) : wrong(shortest(waited))
  },
}
