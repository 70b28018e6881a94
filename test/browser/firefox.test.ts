import { afterAll, afterEach, beforeEach, describe, test } from 'vitest'
import { node } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { lasting, send } from './client.ts'
import { firefox } from './firefox.ts'
import { pageSuite } from './suite.ts'

pageSuite(firefox, node)
afterAll(firefox.quit)

describe('the page comes back by itself in Firefox', () => {
  beforeEach((context) => context.skip(firefox.missing !== '', firefox.missing))
  afterEach(() => firefox.leave().finally(cleanUp)) // a hook that fails keeps the next from running

  test('on the EventSource it had, where Firefox tries again', async () => {
    const settings = await lasting()
    const server = await start(settings)
    await send(server, 'before')
    const visit = await firefox.open(server.url)
    await visit.shows('before')
    await server.kill('SIGKILL')
    await visit.is('Reconnecting', /browser is trying again/)
    const back = await start(settings)
    for (const message of ['1', '2', '3']) await send(back, message)
    await visit.is('Live')
    await visit.shows('before', '1', '2', '3')
  })

  test('on an EventSource of its own making, where Firefox gives up', async () => {
    const settings = await lasting()
    const server = await start(settings)
    await send(server, 'before')
    const visit = await firefox.open(server.url)
    await visit.shows('before')
    await server.kill('SIGKILL')
    await visit.offline(async () => {
      // Firefox retries what was refused or cut, but closes the EventSource for good where there is no network.
      await visit.is('Reconnecting', /Trying again in a few seconds/)
      const back = await start(settings)
      for (const message of ['1', '2', '3']) await send(back, message)
    })
    await visit.is('Live')
    await visit.shows('before', '1', '2', '3')
  })
})
