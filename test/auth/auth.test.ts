import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { runtimes } from '../server/runtimes.ts'
import { cleanUp, folder, start } from '../server/server.ts'
import { authSuite } from './suite.ts'

authSuite({
  name: 'app.request()',
  async start(settings) {
    const config = parseConfig(settings)
    const app = createApp({ hub: new Hub(() => memoryLog(config.logOptions), config.hub), config })
    return async (path, init) => app.request(path, init)
  },
  async stop() {},
})

for (const runtime of runtimes)
  authSuite({
    name: runtime.name,
    async start(settings) {
      const { url } = await start({ LOG: `sqlite:${folder()}/hub.db`, ...settings }, runtime)
      return (path, init) => fetch(url + path, init)
    },
    stop: cleanUp,
  })
