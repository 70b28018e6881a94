import { expect, onTestFinished, test, vi } from 'vitest'
import { connect } from '../../public/client.js'
import { RunStore } from '../../src/integrations/run-store.ts'
import { event, scripted, settled } from '../client/scripted.ts'

/** A store of the run `a`, with a listener, of a hub that the test plays. */
function play() {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const { asked, fetch, next } = scripted()
  const hub = connect({ url: 'http://hub', fetch })
  onTestFinished(() => hub.close())
  const store = new RunStore(hub, 'a', {})
  store.listen(() => {})
  return { asked, next, store }
}

const frame = () => vi.advanceTimersByTimeAsync(16)

test('a run that was closed before the subscription ends as the hub remembers it', async () => {
  const { next, store } = play()
  const first = await next()
  expect(`${first.path} ${first.query}`).toBe('/event?… topic=a&from=earliest&envelope=true')
  first.answer(204)
  await frame()
  expect(store.view()).toMatchObject({ state: { state: 'closed' }, outcome: undefined })
  const { path, answer } = await next()
  expect(path).toBe('/runs/a')
  answer(200, { topic: 'a', fence: 1, isStopAsked: true, outcome: 'failed', detail: 'no more' })
  await settled()
  expect(store.view()).toMatchObject({ events: [], outcome: 'failed', detail: 'no more', isStopAsked: true })
})

test('the hub is asked once for each opening, its refusal is no error, and a view stays the same object until it changes', async () => {
  const { next, store, asked } = play()
  const stream = (await next()).stream('event: hub.open\ndata: {"state":"live","stream":"s"}\n\n')
  await settled()
  await frame()
  ;(await next()).answer(403, { code: 'forbidden', detail: 'no' })
  await settled()
  const before = store.view()
  expect(before).toMatchObject({ state: { state: 'live' }, outcome: undefined, isStopAsked: false })
  expect(store.view()).toBe(before)
  await stream.send(event(1))
  await frame()
  expect(store.view().events.map(({ id }) => id)).toEqual(['e-1'])
  await stream.send('event: hub.closed\ndata: {"topic":"a","outcome":"abandoned"}\n\n')
  await frame()
  expect(store.view()).toMatchObject({ state: { state: 'closed' }, outcome: 'abandoned' })
  expect([store.serverView(), store.serverView().state.state]).toEqual([store.serverView(), 'connecting'])
  expect(asked).toEqual([])
})

test('a stop before the first claim is shown, and one that is refused is thrown and changes nothing', async () => {
  const { next, store } = play()
  await next()
  const refused = expect(store.view().stop()).rejects.toMatchObject({ code: 'forbidden' })
  ;(await next()).answer(403, { code: 'forbidden', detail: 'no' })
  await refused
  expect(store.view().isStopAsked).toBe(false)
  const stopped = store.view().stop()
  const { method, path, query, answer } = await next()
  expect([method, path, `${query}`]).toEqual(['POST', '/stop?…', 'topic=a'])
  answer(202, { topic: 'a', isStopAsked: true })
  await stopped
  expect(store.view().isStopAsked).toBe(true)
})
