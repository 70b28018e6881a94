import type { ExitCode } from './failure.ts'
import type { Given } from './given.ts'

/** A flag of a command: a switch, unless it has a `value`. */
export interface Option {
  /** What help calls its value, in capitals. */
  readonly value?: string
  /** One letter that stands for the name. */
  readonly short?: string
  readonly about: string
}

export type Options = Readonly<Record<string, Option>>

/** A command of the command line: `tidings <name>`. */
export interface Command {
  /** How it is called, after `tidings`. */
  readonly usage: string
  /** What it does: a sentence, and what surprises in it. */
  readonly about: string
  readonly options: Options
  /** The fewest and the most arguments beside flags. */
  readonly operands: readonly [min: number, max: number]
  /** Whole command lines. */
  readonly examples: readonly string[]
  /** @throws Failure */
  run(given: Given): Promise<ExitCode>
}

export const helpOption: Options = { help: { short: 'h', about: 'Show this text' } }

/** The flags of commands that talk to a hub. */
export const hubOptions: Options = {
  url: { value: 'URL', short: 'u', about: 'The hub; TIDINGS_URL, or http://localhost:3000' },
  'token-file': { value: 'FILE', about: 'A file with the token or API key' },
  token: {
    value: 'TOKEN',
    about: 'The token or API key; TIDINGS_TOKEN. Other users of the machine can see command lines: better a file',
  },
}
