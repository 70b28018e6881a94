import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { installNode, oldestNodes } from '../package/nodes.ts'
import { Project, pack } from '../package/project.ts'
import { soak } from '../seed.ts'
import { run } from '../server/programs.ts'
import { cleanUp, folder, freePort, launch } from '../server/server.ts'
import { imageEnv, instruction } from './files.ts'

afterEach(cleanUp)

const cmd = JSON.parse(instruction('CMD')) as string[]
const keys = { AUTH_SECRET: 'x'.repeat(32) }

// No engine for containers runs here: this does what the image does, with the commands and settings of its Dockerfile.
test.for(soak ? ['this', oldestNodes[0]!] : ['this'])(
  'the image runs the package on %s Node: it serves, is healthy, drains on SIGTERM, and is unhealthy then',
  {
    timeout: 360_000,
  },
  async (version, { skip }) => {
    const project = await Project.make(await pack())
    if (!project) return skip('the npm registry cannot be reached')
    const node = version === 'this' ? process.execPath : await installNode(version)
    if (!node) return skip(`needs Node ${version} from npm, which this machine does not have`)
    const [command, file, ...args] = cmd
    expect(command).toBe('node')
    const settings = {
      ...imageEnv(),
      ...keys,
      HOST: '127.0.0.1',
      PORT: `${await freePort()}`,
      LOG: `sqlite:${folder()}/hub.db`,
    }
    const hub = launch(settings, [], {
      name: 'the image',
      command: () => [node, join(project.path, file!), ...args],
      listens: / /,
    })
    await hub.says(/Tidings listens on/)
    const [, check] = /CMD (\[.*\])$/.exec(instruction('HEALTHCHECK'))!
    const healthy = async () => {
      const [, ...args] = JSON.parse(check!) as string[]
      return (await run(node, args, project.path, settings)).code
    }
    expect(await healthy()).toBe(0)
    expect(await hub.kill('SIGTERM')).toBe(0)
    expect(await healthy()).toBe(1)
  },
)
