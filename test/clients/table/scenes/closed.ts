import { setTimeout as pause } from 'node:timers/promises'
import { holds, type Running } from '../running.ts'
import { type Outcome, right, type Scene, wrong } from '../scene.ts'
import { publish } from '../stage.ts'
import { type Tap, toldMs } from '../tap.ts'

const READY_MS = 20_000
/** How long a client is watched after its last stream. */
const WATCHED_MS = 6000

export const closed: Scene = {
  name: 'close',
  says: `the topic is closed while the client reads: it asks at most once more in ${WATCHED_MS / 1000} s, and then is answered with 204`,
  async play(stage) {
    const hub = await stage.hub()
    const tap = await stage.tap(hub)
    const program = stage.run(`${tap.url}/event?topic=any`)
    if (!(await holds(() => program.hears('hub.open'), READY_MS))) return wrong('hears nothing')
    const before = tap.exchanges.length
    await publish(hub, { data: 'the last', close: true })
    if (!(await holds(() => program.hears('hub.closed'), READY_MS))) return wrong('no `hub.closed`')
    return watched(program, tap, before, 1)
  },
}

export const gone: Scene = {
  name: '204',
  says: `the client begins where every topic is closed, and is answered with 204: it does not ask again in ${WATCHED_MS / 1000} s`,
  async play(stage) {
    const hub = await stage.hub()
    const id = await publish(hub, { data: 'the last', close: true })
    const tap = await stage.tap(hub)
    const program = stage.run(`${tap.url}/event?topic=any&lastEventId=${id}`)
    if (!(await holds(() => tap.exchanges.some(({ status }) => status > 0), READY_MS))) return wrong('does not connect')
    if (tap.exchanges[0]!.status !== 204) return wrong(`is answered with ${tap.exchanges[0]!.status}`)
    return watched(program, tap, 1, 0)
  },
}

/**
 * Watches whether a client asks again, more often than it may or so that it is answered with a stream.
 *
 * @param before the requests of the client until then
 */
async function watched(program: Running, { exchanges }: Tap, before: number, mayAsk: number): Promise<Outcome> {
  await pause(WATCHED_MS)
  const asked = exchanges.slice(before)
  if (asked.length > mayAsk) return wrong(`asks ${asked.length} times`)
  await holds(() => asked.every(({ status }) => status > 0), READY_MS)
  const streamed = asked.find(({ status }) => status !== 204)
  if (streamed) return wrong(`asks again, and is answered with ${streamed.status}`)
  if (program.hasExited) return right('ends')
  const told = toldMs(exchanges[before - 1]!)
  if (asked.length === 0 && told !== undefined && told > WATCHED_MS) return right(`waits: was told ${told / 1000} s`)
  return right(asked.length === 0 ? 'stops' : 'stops at 204')
}
