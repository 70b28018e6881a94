import { once } from 'node:events'
import { get } from 'node:http'
import { holds } from '../running.ts'
import { ended, right, type Scene, wrong } from '../scene.ts'
import { publish } from '../stage.ts'
import { waits } from '../tap.ts'
import { isObeyed, shortest } from '../told.ts'

const READY_MS = 20_000
/** Longer than twice the longest time that a refused client is told. */
const PATIENCE_MS = 20_000

export const overload: Scene = {
  name: 'overload',
  says: 'the hub is full and answers 200 with a `retry:`: the client waits as long, and gets in when there is room',
  async play(stage) {
    const hub = await stage.hub({ MAX_READERS: '1' })
    const { exchanges, url } = await stage.tap(hub)
    const other = get(`${hub.url}/event?topic=any`, (answer) => answer.resume())
    await once(other, 'response')
    const program = stage.run(`${url}/event?topic=any`)
    if (!(await holds(() => program.hasExited || exchanges.length > 0, READY_MS))) return wrong('does not connect')
    await holds(() => program.hasExited || exchanges.length > 1, PATIENCE_MS)
    other.destroy()
    await holds(() => program.hasExited || program.hears('hub.open'), PATIENCE_MS)
    await publish(hub, { data: 'room' })
    const isIn = () => program.entries.some(({ data }) => data === 'room')
    await holds(() => program.hasExited || isIn(), READY_MS)
    if (program.hasExited) return ended(program)
    if (exchanges.length === 1) return wrong(`is not back in ${PATIENCE_MS / 1000} s`)
    const waited = waits(exchanges)
    if (!isObeyed(waited, stage.jitter)) return wrong(shortest(waited))
    return isIn() ? right(shortest(waited)) : wrong('does not get in')
  },
}
