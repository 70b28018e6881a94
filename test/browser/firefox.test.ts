import { afterAll, describe, test } from 'vitest'
import { node } from '../server/runtimes.ts'
import { start } from '../server/server.ts'
import { lasting, send } from './client.ts'
import { firefox } from './firefox.ts'
import { prepareBrowsers } from './hooks.ts'
import { pageSuite } from './suite.ts'

pageSuite(firefox, node)
afterAll(firefox.quit)

describe('the page in Firefox reconnects by itself', () => {
  prepareBrowsers(firefox)

  test('with its EventSource when Firefox retries', async () => {
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

  test('with a new EventSource when Firefox gives up', async () => {
    const settings = await lasting()
    const server = await start(settings)
    await send(server, 'before')
    const visit = await firefox.open(server.url)
    await visit.shows('before')
    await server.kill('SIGKILL')
    await visit.offline(async () => {
      // Firefox retries a refused or cut connection, but without a network it closes the EventSource for good.
      await visit.is('Reconnecting', /^The connection was lost\.$/)
      const back = await start(settings)
      for (const message of ['1', '2', '3']) await send(back, message)
    })
    await visit.is('Live')
    await visit.shows('before', '1', '2', '3')
  })
})
