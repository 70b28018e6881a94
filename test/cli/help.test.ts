import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { helpOption } from '../../src/cli/command.ts'
import { commands } from '../../src/cli/commands.ts'
import { parseGiven } from '../../src/cli/given.ts'
import { main } from '../../src/cli/main.ts'
import { settings } from '../../src/config/settings.ts'
import { part } from '../part.ts'
import { Cli } from './cli.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings on %s', (runtime) => {
  const cli = new Cli(runtime)

  test('prints its version, and help that names every command and exit code', async () => {
    expect(await cli.run(['--version'])).toEqual({ status: 0, stdout: `tidings ${version}\n`, stderr: '' })
    const { status, stdout } = await cli.run(['--help'])
    expect(status).toBe(0)
    for (const name of Object.keys(commands)) expect(stdout).toMatch(new RegExp(`^  ${name} +[A-Z]`, 'm'))
    expect(stdout).toContain('Exit codes: 0 ok')
  })

  test('prints help for a command, with every setting as a flag of serve', async () => {
    const { status, stdout } = await cli.run(['serve', '--help'])
    expect(status).toBe(0)
    for (const name of Object.keys(settings)) expect(stdout).toContain(`--${name.toLowerCase().replaceAll('_', '-')}`)
    expect((await cli.run(['help', 'tail'])).stdout).toBe((await cli.run(['tail', '--help'])).stdout)
  })
})

test.each([
  [['sned', 'a', 'b'], 'Cannot run "sned": expected send'],
  [['--prot', '3001'], 'Cannot use "--prot" as a flag: expected --port'],
  [['tail', 'a', '--sinse', '1h'], 'Cannot use "--sinse" as a flag: expected --since'],
  [['tail'], 'Cannot run this: an argument is missing; expected tidings tail TOPIC…'],
  [['topics', 'a', 'b'], 'Cannot use "b": expected at most 1 of them'],
  [['--port'], 'Cannot use --port without a value'],
  [['--host', '--port'], 'Cannot use --host without a value'],
  [['--auth-secret='], 'Cannot use --auth-secret with an empty value'],
  [['--open=yes'], 'Cannot use --open with this value: expected true or false'],
  [['send', 'a'], 'Cannot send nothing: give DATA, or - to read it from stdin'],
  [['send', 'a', 'b', '--ndjson'], 'Cannot use DATA beside --ndjson'],
  [['tail', 'a', '--last', '1', '--since', '1h'], 'Cannot use --last beside --since'],
])('answers %j as wrong usage: %s', async (args, message) => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  expect(await main(args)).toBe(2)
  const [[said], [advice]] = write.mock.calls as [string][] as [[string], [string]]
  write.mockRestore()
  expect(said.startsWith(message)).toBe(true)
  expect(advice).toMatch(/^Help: tidings .*--help\n$/)
})

/** What a command line prints on stdout. */
const printed = async (...args: string[]) => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  expect(await main(args)).toBe(0)
  const text = write.mock.calls.map(([part]) => `${part}`).join('')
  write.mockRestore()
  return text
}

/** The command lines below `Examples:` in help. */
const examplesIn = (help: string) => {
  const [, block = ''] = /^Examples:\n((?: {2}.+\n)+)/m.exec(help) ?? []
  return block.split('\n').flatMap((line) => line.trim() || [])
}

/** @throws Failure usage: the command of an example does not take it */
const parse = async (example: string) => {
  const [, line] = /\btidings ?([^|<]*)/.exec(example)!
  const words = [...line!.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!)
  const name = Object.hasOwn(commands, words[0] ?? '') ? words.shift()! : 'serve'
  const command = await commands[name]!.load()
  parseGiven(words, { ...command, options: { ...command.options, ...helpOption } })
  return name
}

test.each(Object.keys(commands))(
  'the help of %s has its usage, its flags, and examples that it takes',
  async (name) => {
    const { usage, options, examples } = await commands[name]!.load()
    const help = await printed(name, '--help')
    expect(help).toContain(`\n  tidings ${usage}\n`)
    expect(usage.startsWith(name)).toBe(true)
    const flags = [...help.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, flag]) => flag)
    expect(flags).toEqual([...Object.keys(options), 'help'])
    expect(examplesIn(help)).toEqual(examples)
    expect(examples.length).toBeGreaterThan(0)
    for (const example of examples) expect(await parse(example)).toBe(name)
  },
)

test('the examples of the overview are command lines that their commands take', async () => {
  const names = await Promise.all(examplesIn(await printed('--help')).map(parse))
  expect(names).toEqual(['serve', 'send', 'tail'])
})
