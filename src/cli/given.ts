import { parseArgs } from 'node:util'
import { quote } from '../errors.ts'
import { meantBy } from '../routes/names.ts'
import type { Command, Options } from './command.ts'
import { misuse } from './failure.ts'

/** What the user has given to a command. */
export class Given {
  /** Arguments beside flags. */
  readonly operands: readonly string[]
  readonly #flags: ReadonlyMap<string, string>

  constructor(operands: readonly string[], flags: ReadonlyMap<string, string>) {
    this.operands = operands
    this.#flags = flags
  }

  /** The value of a flag; `true` or `false` for a switch. */
  value(name: string): string | undefined {
    return this.#flags.get(name)
  }

  isOn(name: string): boolean {
    return this.#flags.get(name) === 'true'
  }

  /** The flags that were given, with their values. */
  get flags(): Iterable<readonly [name: string, value: string]> {
    return this.#flags
  }
}

/**
 * Parses the arguments of a command. `parseArgs` splits them; what it says about unknown flags would not name the nearest one.
 *
 * @throws Failure usage: an unknown flag with the nearest name, a flag without its value, too few or too many operands
 */
export function parseGiven(
  args: readonly string[],
  { usage, options, operands: [min, max] }: Pick<Command, 'usage' | 'options' | 'operands'>,
): Given {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { value, short }]) => [
        name,
        { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short && { short }) },
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const flags = new Map<string, string>()
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind === 'option') flags.set(token.name, flagValue(token, options))
  }
  if (flags.has('help')) return new Given(operands, flags)
  if (operands.length > max)
    throw misuse(`Cannot use ${quote(operands[max]!)}: expected ${max === 0 ? 'only flags' : `at most ${max} of them`}`)
  if (operands.length < min) throw misuse(`Cannot run this: an argument is missing; expected tidings ${usage}`)
  return new Given(operands, flags)
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function flagValue({ name, rawName, value, inlineValue }: OptionToken, options: Options): string {
  if (!Object.hasOwn(options, name)) {
    const names = Object.keys(options)
    const meant = meantBy(name, names)
    const advice = meant === undefined ? 'see --help' : `expected --${meant}`
    throw misuse(`Cannot use ${quote(rawName)} as a flag: ${advice}`)
  }
  const { value: placeholder } = options[name]!
  if (placeholder === undefined) {
    if (value === undefined || value === 'true' || value === 'false') return value ?? 'true'
    throw misuse(`Cannot use ${rawName} with this value: expected true or false`)
  }
  // A flag behind a flag is more likely a forgotten value than a value. Values are not quoted: they may be secrets.
  if (value === undefined || (!inlineValue && /^-./.test(value)))
    throw misuse(
      `Cannot use ${rawName} without a value: expected ${rawName} ${placeholder}, or ${rawName}=-… for a dash`,
    )
  // An empty variable of a script must not count as a setting that is left out: without its secret, a hub is open.
  if (value === '') throw misuse(`Cannot use ${rawName} with an empty value: leave it out, or give ${placeholder}`)
  return value
}
