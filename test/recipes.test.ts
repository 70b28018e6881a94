import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { chromium } from './browser/chromium.ts'
import { part } from './part.ts'
import { Clone } from './recipes/clone.ts'
import { type Block, blocksOf, fileOf, guides, root } from './recipes/guide.ts'
import { programs } from './recipes/programs.ts'
import { steps, whatShows } from './recipes/steps.ts'
import { Terminals } from './recipes/terminal.ts'
import { cleanUp } from './server/server.ts'

const missing = ['bash', 'curl', 'sed', 'seq', 'openssl'].filter((name) => spawnSync(name, ['--help']).error)
const without = missing.length > 0 ? `needs ${missing.join(', ')}, which this machine does not have` : ''

afterAll(cleanUp)

const blocksIn = (guide: string, language: string) => blocksOf(guide).filter((block) => block.language === language)

describe.skipIf(without)(`the commands of a guide${without && ` (skipped: ${without})`}`, { concurrent: true }, () => {
  test.for(
    part(
      ['README.md'],
      Object.keys(steps).filter((guide) => guide !== 'README.md'),
    ),
  )(
    '%s, pasted block after block, show what the guide says',
    {
      timeout: 180_000,
    },
    async (guide, { onTestFinished }) => {
      const clone = await Clone.make()
      const terminals = new Terminals(clone)
      onTestFinished(() => terminals.close())
      for (const [i, block] of blocksIn(guide, 'sh').entries()) {
        const step = steps[guide]![i]!
        const where = `${guide}:${block.line}`
        expect(block.text, where).toContain(step.block)
        if (step.unless) {
          console.log(`${where} is not run: ${step.unless}`)
          continue
        }
        if (step.alone) await terminals.close()
        const text = clone.withFreePorts(block.text)
        if (step.stays) await terminals.open().leave(text, whatShows(step))
        else expect(await terminals.current().paste(text), where).toMatch(whatShows(step))
      }
    },
  )
})

test('every block of commands has a step', () => {
  for (const guide of guides) {
    const listed = steps[guide] ?? []
    const blocks = blocksIn(guide, 'sh').map(({ text }, i) =>
      text.includes(listed[i]?.block ?? '\0') ? listed[i]!.block : text,
    )
    expect([guide, blocks]).toEqual([guide, listed.map(({ block }) => block)])
  }
})

test('commands can be pasted into bash, and into the zsh of macOS, which takes no comments and expands ? and * outside of quotes', () => {
  for (const guide of guides)
    for (const { text, line } of blocksIn(guide, 'sh'))
      for (const command of text.replace(/'[^']*'|"[^"]*"/g, '').split('\n'))
        expect([guide, line, command]).toEqual([guide, line, expect.not.stringMatching(/(^|\s)#|localhost\S*[?*]/)])
})

describe('the programs of the guides', () => {
  let clone: Clone
  const names = guides.flatMap((guide) => blocksIn(guide, 'ts').map(fileOf))

  beforeAll(async () => {
    clone = await Clone.make()
    for (const guide of guides)
      for (const block of [...blocksIn(guide, 'ts'), ...blocksIn(guide, 'tsx')]) save(block, clone)
  })

  test('have names, and each of them is run', () => {
    // test/adapters/rpc.test.ts runs worker.ts inside workerd, test/hosts/worker.test.ts runs greeter.ts.
    expect(names.sort()).toEqual([...Object.keys(programs), 'server.ts', 'worker.ts', 'greeter.ts'].sort())
  })

  test('are type-checked', { timeout: 180_000 }, () => {
    writeFileSync(
      join(clone.path, 'guides.json'),
      '{"extends":"./tsconfig.json","compilerOptions":{"jsx":"react-jsx"},"include":["*.ts","*.tsx"]}',
    )
    const tsc = join(root, 'node_modules', '.bin', 'tsc')
    const { stdout, status } = spawnSync(tsc, ['-p', 'guides.json'], { cwd: clone.path, encoding: 'utf8' })
    expect([stdout, status]).toEqual(['', 0])
  })

  test.each(Object.keys(programs))('%s does what the guide says', (name) => {
    const { check, shows } = programs[name]!
    const args = ['--conditions=tidings-source', '--input-type=module', '--eval', clone.withFreePorts(check)]
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: clone.path, env: clone.env, encoding: 'utf8' })
    expect([stdout, stderr]).toEqual([typeof shows === 'string' ? shows : expect.stringMatching(shows), ''])
  })

  describe.skipIf(chromium.missing)(`in a browser${chromium.missing && ` (skipped: ${chromium.missing})`}`, () => {
    let terminals: Terminals

    beforeEach(() => {
      terminals = new Terminals(clone)
    })
    afterEach(() => Promise.all([terminals.close(), chromium.leave()]))
    afterAll(() => chromium.quit())

    test('the page of server.ts shows what a visitor says, again after a reload, and to others', async () => {
      const terminal = terminals.current()
      await terminal.paste(
        clone.withFreePorts(
          'npm run node server.ts &\ncurl -s --retry 20 --retry-delay 1 --retry-connrefused localhost:3001',
        ),
      )
      const url = clone.withFreePorts('http://localhost:3001')
      const said = ['hello', 'a <b>second</b> message']
      const [page, other] = [await chromium.newPage(), await chromium.newPage()]
      await Promise.all([page.goto(url), other.goto(url)])
      for (const text of said) {
        await page.fill('input', text)
        await page.keyboard.press('Enter')
        await expect.poll(() => page.locator('li').allTextContents()).toContain(text)
      }
      await page.reload()
      for (const each of [page, other]) await expect.poll(() => each.locator('li').allTextContents()).toEqual(said)
    })

    test('the script of a page logs what is published to its topics', async () => {
      const terminal = terminals.current()
      await terminal.paste('LOG=memory: npm start &')
      await terminal.paste(
        clone.withFreePorts('curl -s --retry 20 --retry-delay 1 --retry-connrefused localhost:3000/ready'),
      )
      const page = await chromium.newPage()
      const logged: string[] = []
      page.on('console', (message) => logged.push(message.text()))
      await page.goto(clone.withFreePorts('http://localhost:3000'))
      const [script] = blocksIn('src/routes/README.md', 'js')
      await page.evaluate(script!.text)
      const readers = async () =>
        (await (await fetch(clone.withFreePorts('http://localhost:3000/ready'))).json()).readers
      await expect.poll(readers).toBe(2) // that of the page itself, and that of the script
      await terminal.paste(clone.withFreePorts(`curl -s --json '{"data":"a"}' 'localhost:3000/send?topic=chat/1'`))
      await terminal.paste(
        clone.withFreePorts(`curl -s --json '{"data":"b","event":"said"}' 'localhost:3000/send?topic=news'`),
      )
      await expect.poll(() => logged).toEqual([expect.stringMatching(/^\w+-1 a$/), 'said b'])
    })
  })
})

function save(block: Block, clone: Clone): void {
  const name = fileOf(block)
  if (name) writeFileSync(join(clone.path, name), clone.withFreePorts(block.text))
}
