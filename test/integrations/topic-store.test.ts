import { expect, onTestFinished, test, vi } from 'vitest'
import { connect } from '../../public/client.js'
import { TopicStore } from '../../src/integrations/topic-store.ts'
import { control, event, open, scripted, settled } from '../client/scripted.ts'

/** A store of topics, of a hub that the test plays. */
function play(...topics: string[]) {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const { fetch, next } = scripted()
  const hub = connect({ url: 'http://hub', fetch })
  onTestFinished(() => hub.close())
  return { next, store: new TopicStore(hub, topics, {}) }
}

test('a closed topic is shown as closed until it is used again, and then as it ends anew', async () => {
  const { next, store } = play('a', 'b')
  store.listen(() => {})
  const { stream } = await next()
  const { send } = stream(open('live', 'e-7'))
  await send(control('closed', { topic: 'a', outcome: 'failed' }))
  await vi.advanceTimersByTimeAsync(1000)
  expect(store.view().closed).toMatchObject([{ topic: 'a', outcome: 'failed' }])
  await send(event(9))
  await vi.advanceTimersByTimeAsync(1000)
  expect(store.view().closed).toEqual([])
  await send(control('closed', { topic: 'a', outcome: 'done' }))
  await vi.advanceTimersByTimeAsync(1000)
  expect(store.view().closed).toMatchObject([{ topic: 'a', outcome: 'done' }])
})

test('a listener that comes back goes on after what the subscription has read, also if that was no event', async () => {
  const { next, store } = play('a')
  const after = async (...frames: string[]) => {
    const leave = [store.listen(() => {}), store.listen(() => {})]
    const { query, stream } = await next()
    await stream().send(...frames)
    for (const each of leave) each()
    await settled()
    return query.get('lastEventId')
  }
  expect(await after(open('live', 'e-7'))).toBe(null)
  expect(await after(open('live', 'e-7'), event(8))).toBe('e-7')
  expect(await after(open('live', 'e-8'), control('checkpoint', {}, 'id: e-20\n'))).toBe('e-8')
  expect(await after()).toBe('e-20')
  expect(await after()).toBe('e-20')
})
