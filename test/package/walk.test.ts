import { afterAll, beforeAll, expect, test } from 'vitest'
import { ann, expectLive } from '../hosts/live.ts'
import { Reader } from '../reader.ts'
import { type Block, blocksOf, fileOf } from '../recipes/guide.ts'
import { steps, whatShows } from '../recipes/steps.ts'
import { calls, fromPackage, Stranger } from '../recipes/stranger.ts'
import { Terminals } from '../recipes/terminal.ts'
import { cleanUp } from '../server/server.ts'
import { manifest, pack } from './project.ts'

const commandLine = 'src/cli/README.md'
const hosts = 'src/adapters/HOSTS.md'

let installed: Stranger | undefined

beforeAll(async () => {
  installed = await Stranger.make(await pack(), `express@${manifest.devDependencies.express}`)
}, 300_000)
afterAll(cleanUp)

test.for(Object.entries(calls))(
  'somebody with the tarball and the guides alone serves, publishes, tails, backs up, restores, and embeds a hub in Hono and Express behind a login, on %s',
  {
    timeout: 240_000,
  },
  async ([, call], { skip, onTestFinished }) => {
    if (!installed) return skip('the npm registry cannot be reached')
    const stranger = await installed.another()
    const terminals = new Terminals(stranger)
    onTestFinished(() => terminals.close())

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
    for (const [program, port] of [
      ['hono.ts', 3001],
      ['express.ts', 3002],
    ] as const) {
      // digest.ts of the guide publishes in the process of the host.
      stranger.write('host.ts', `import './${program}'\nimport './digest.ts'\n`)
      const url = stranger.withFreePorts(`http://127.0.0.1:${port}/live`)
      const waits = `curl -s --retry 20 --retry-delay 1 --retry-connrefused ${url}/health`
      expect(await terminals.open().paste(`${call.program} host.ts &\n${waits}`)).toContain('{"status":"ok"}')
      await expectLive(url)
      const news = await fetch(`${url}/event?topic=news/*&from=earliest`, { headers: ann })
      const published = new Reader().follow(news.body!)
      await expect.poll(() => published.data).toEqual(['It works'])
    }
  },
)

function found(guide: string, part: string): { block: Block; step: (typeof steps)[string][number] } {
  const block = blocksOf(guide).find(({ language, text }) => language === 'sh' && text.includes(part))!
  return { block, step: steps[guide]!.find((step) => step.block === part)! }
}
