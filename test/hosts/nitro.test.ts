import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blocksOf, fileOf } from '../recipes/guide.ts'
import { install, run } from '../server/programs.ts'
import { cleanUp, folder, freePort, start } from '../server/server.ts'
import { installPackage } from './installed.ts'
import { expectLive } from './live.ts'

const place = folder()
let isInstalled = false

beforeAll(async () => {
  isInstalled = await install('hosts/nitro', place)
  await installPackage(place)
  mkdirSync(join(place, 'routes', 'live'), { recursive: true })
  const text = (name: string) => blocksOf('src/adapters/HOSTS.md').find((block) => fileOf(block) === name)!.text
  writeFileSync(join(place, 'live.ts'), text('live.ts'))
  writeFileSync(join(place, 'routes', 'live', '[...path].ts'), text('nitro.ts').replace('./live.ts', '../../live.ts'))
}, 300_000)

afterAll(cleanUp)

test('the route handler of the guide delivers what is published, and notices a reader that leaves, in a build of Nitro', {
  timeout: 360_000,
}, async ({ skip }) => {
  skip(!isInstalled, 'needs the npm registry')
  const built = await run(process.execPath, [join('node_modules', 'nitro', 'dist', 'cli', 'index.mjs'), 'build'], place)
  expect(built).toMatchObject({ code: 0 })
  const host = await start(
    { PORT: `${await freePort()}` },
    {
      name: 'Nitro',
      command: () => [process.execPath, join(place, '.output', 'server', 'index.mjs')],
      listens: /^Listening on \S+:(\d+)/m,
    },
  )
  await expectLive(`${host.url}/live`)
})
