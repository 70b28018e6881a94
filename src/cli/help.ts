import type { Command, Options } from './command.ts'
import { commands } from './commands.ts'

/** Longest name of a flag that shares a line with its description. */
const FLAG_WIDTH = 26

/** The text of `tidings --help`. */
export function overview(): string {
  const rows = Object.entries(commands).map(([name, { line }]) => `  ${name.padEnd(10)}${line}`)
  return `Tidings, a Server-Sent Events hub.

  tidings [COMMAND] [ARGUMENT…] [FLAG…]

${rows.join('\n')}

  tidings COMMAND --help     Show the flags of a command, and examples
  tidings --version          Show the version

Examples:
  tidings --port 3001
  tidings send chat/room-1 hello
  tidings tail 'chat/*' --last 10

Exit codes: 0 ok, 1 refused or a problem found, 2 wrong usage, 3 the hub cannot be reached or cannot answer now, 130 Ctrl-C.
`
}

/** The text of `tidings COMMAND --help`. */
export function helpOf({ usage, about, options, examples }: Command): string {
  return `${about}

  tidings ${usage}

${Object.entries(options)
  .map(([name, option]) => rowOf(name, option))
  .join('\n')}

Examples:
${examples.map((example) => `  ${example}`).join('\n')}
`
}

function rowOf(name: string, { value, short, about }: Options[string]): string {
  const flag = `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`
  const gap = flag.length < FLAG_WIDTH ? '' : `\n${''.padEnd(FLAG_WIDTH + 2)}`
  return `  ${flag.padEnd(FLAG_WIDTH)}${gap}${about}`
}
