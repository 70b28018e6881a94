import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Block, blocksOf, fileOf } from '../recipes/guide.ts'
import { steps, whatShows } from '../recipes/steps.ts'
import { calls, fromPackage, Stranger } from '../recipes/stranger.ts'
import { Terminals } from '../recipes/terminal.ts'
import { soak } from '../seed.ts'
import { cleanUp } from '../server/server.ts'
import { manifest, pack } from './project.ts'

const commandLine = 'src/cli/README.md'
const hosts = 'src/adapters/HOSTS.md'
const login = { cookie: 'session=a-long-random-text' }

let tarball: string

beforeAll(async () => {
  tarball = await pack()
}, 120_000)
afterAll(cleanUp)

test.for(soak ? Object.keys(calls) : ['Node'])(
  'somebody with the tarball and the guides alone serves, publishes, tails, backs up, restores, and embeds a hub in Hono and Express behind a login, on %s',
  {
    timeout: 240_000,
  },
  async (runtime, { skip, onTestFinished }) => {
    const stranger = await Stranger.make(tarball, `express@${manifest.devDependencies.express}`)
    if (!stranger) return skip('the npm registry cannot be reached')
    const terminals = new Terminals(stranger)
    onTestFinished(() => terminals.close())
    const call = calls[runtime]!

    // The demo and the topics of the README, on a hub that the command serves.
    await terminals.open().leave(call.command, /^Tidings listens on /m)
    for (const part of ['message=hi', '"key":"m-1"']) {
      const { block, step } = found('README.md', part)
      await terminals.open().leave(stranger.withFreePorts(block.text), whatShows(step))
    }
    await terminals.close()
    stranger.forget()

    // The whole guide to the command line: publish, tail, topics, tokens, backup and restore, doctor.
    for (const { block: part } of steps[commandLine]!) {
      const { block, step } = found(commandLine, part)
      const text = stranger.withFreePorts(fromPackage(block.text, call))
      expect(await terminals.current().paste(text), `${commandLine}:${block.line}`).toMatch(whatShows(step))
    }
    await terminals.close()

    for (const block of blocksOf(hosts).filter((block) => block.language === 'ts'))
      stranger.write(fileOf(block)!, block.text)
    const server = blocksOf('README.md').find((block) => fileOf(block) === 'server.ts')!.text
    const [serves] = /^serve\(.*$/m.exec(server)!
    const programs = {
      'hono-host.ts': ["import { serve } from '@hono/node-server'", "import { app } from './hono.ts'", serves],
      'express-host.ts': ["import { app } from './express.ts'", "app.listen(3002, '127.0.0.1')"],
    }
    for (const [[name, lines], port] of Object.entries(programs).map((program, i) => [program, 3001 + i] as const)) {
      // digest.ts of the guide publishes in the process of the host.
      stranger.write(name, [...lines, "import './digest.ts'"].join('\n'))
      const url = stranger.withFreePorts(`http://127.0.0.1:${port}/live`)
      const waits = `curl -s --retry 20 --retry-delay 1 --retry-connrefused ${url}/health`
      expect(await terminals.open().paste(`${call.program} ${name} &\n${waits}`)).toContain('{"status":"ok"}')
      await expectLogin(url)
    }
  },
)

/** Expects that a host decides by its session who may do what, and that a reader gets what the host publishes. */
async function expectLogin(url: string): Promise<void> {
  const send = async (topic: string, headers = {}) => {
    const body = JSON.stringify({ data: 'text' })
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } }
    return (await fetch(`${url}/send?topic=${topic}`, init)).status
  }
  expect([await send('chat/1', login), await send('news/1', login), await send('chat/1')]).toEqual([200, 403, 401])
  const news = await fetch(`${url}/event?topic=news/*&from=earliest`, { headers: login })
  let text = ''
  for await (const part of news.body!.pipeThrough(new TextDecoderStream())) {
    text += part
    if (text.includes('data: It works\n')) break
  }
  expect(text).toContain('data: It works\n')
}

function found(guide: string, part: string): { block: Block; step: (typeof steps)[string][number] } {
  const block = blocksOf(guide).find(({ language, text }) => language === 'sh' && text.includes(part))!
  return { block, step: steps[guide]!.find((step) => step.block === part)! }
}
