import { expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { SECRET } from './suite.ts'

test('Basic credentials are refused if nothing else grants anything; the error says that Bearer is expected', async () => {
  const hub = new Hub(memoryLog)
  const app = createApp({ hub, config: parseConfig({ AUTH_SECRET: SECRET }) })
  const headers = { authorization: `Basic ${btoa('me:password')}` }
  for (const path of ['/topics', '/event?topic=a', '/event']) {
    const response = await app.request(path, { headers })
    expect([path, response.status, response.headers.get('www-authenticate')]).toEqual([
      ...[path, 401, 'Bearer realm="tidings", error="invalid_token"'],
    ])
    expect(await response.json()).toMatchObject({
      code: 'token_invalid',
      detail: expect.stringContaining('expected Bearer'),
    })
  }
  await hub.close()
})
