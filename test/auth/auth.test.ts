import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { part } from '../part.ts'
import { bun, deno, node, type Runtime, worker } from '../server/runtimes.ts'
import { cleanUp, folder, start } from '../server/server.ts'
import { authSuite, type Runs } from './suite.ts'

const withoutServer: Runs = {
  name: 'app.request()',
  async start(settings) {
    const config = parseConfig(settings)
    const app = createApp({ hub: new Hub(() => memoryLog(config.logOptions), config.hub), config })
    return async (path, init) => app.request(path, init)
  },
  async stop() {},
}

const over = (runtime: Runtime): Runs => ({
  name: runtime.name,
  async start(settings) {
    const { url } = await start({ LOG: `sqlite:${folder()}/hub.db`, ...settings }, runtime)
    return (path, init) => fetch(url + path, init)
  },
  stop: cleanUp,
})

for (const runs of part([withoutServer, over(node)], [bun, deno, worker].map(over))) authSuite(runs)
