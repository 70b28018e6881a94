import process from 'node:process'
import { AppError, quote, reasonOf, withoutTokens } from '../errors.ts'
import { meantBy } from '../routes/names.ts'
import { VERSION } from '../version.ts'
import { helpOption } from './command.ts'
import { commands } from './commands.ts'
import { EXIT, type ExitCode, Failure, misuse } from './failure.ts'
import { parseGiven } from './given.ts'
import { helpOf, overview } from './help.ts'
import { print } from './stdout.ts'

/**
 * Runs a command line. A server goes on running after this has returned.
 *
 * @param args the arguments after the program's name
 */
export async function main(args: readonly string[]): Promise<ExitCode> {
  const [first = ''] = args
  try {
    if (['--version', '-v', '-V'].includes(first)) return await show(`tidings ${VERSION}\n`)
    if (['--help', '-h'].includes(first) || (first === 'help' && args.length < 2)) return await show(overview())
    if (first === 'help') return await run(args[1]!, ['--help'])
    if (first === '' || first.startsWith('-')) return await run('serve', args)
    return await run(first, args.slice(1))
  } catch (error) {
    process.stderr.write(`${withoutTokens(sentenceOf(error))}\n`)
    const exit = error instanceof Failure ? error.exit : EXIT.failed
    if (exit === EXIT.usage) process.stderr.write(`${adviceFor(first)}\n`)
    return exit
  }
}

async function run(name: string, args: readonly string[]): Promise<ExitCode> {
  if (!Object.hasOwn(commands, name)) {
    const names = Object.keys(commands)
    throw misuse(`Cannot run ${quote(name)}: expected ${meantBy(name, names) ?? names.join(', ')}`)
  }
  const command = await commands[name]!.load()
  const whole = { ...command, options: { ...command.options, ...helpOption } }
  const given = parseGiven(args, whole)
  return given.isOn('help') ? show(helpOf(whole)) : command.run(given)
}

async function show(text: string): Promise<ExitCode> {
  await print(text)
  return EXIT.ok
}

function sentenceOf(error: unknown): string {
  if (error instanceof Failure || error instanceof AppError) return error.message
  return `Cannot go on: ${reasonOf(error)}`
}

function adviceFor(name: string): string {
  return `Help: tidings ${Object.hasOwn(commands, name) ? `${name} ` : ''}--help`
}
