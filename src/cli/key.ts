import { Buffer } from 'node:buffer'
import { sha256 } from '../auth/credentials.ts'
import { parseConfig } from '../config/config.ts'
import { isHubName } from '../config/worker.ts'
import type { Command, Options } from './command.ts'
import { EXIT, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { print } from './stdout.ts'

/** The flags that say what a credential allows, and where. */
export const grantOptions: Options = {
  publish: { value: 'LIST', about: 'Topics and patterns to allow publishing to, separated by commas' },
  subscribe: { value: 'LIST', about: 'Topics and patterns to allow subscribing to, separated by commas' },
  hub: { value: 'NAME', about: 'Hub to allow this on, if several share their keys (HUB_FROM on Workers)' },
}

/** `tidings key`: makes an API key. */
export const key: Command = {
  usage: 'key NAME [FLAG…]',
  about: `Makes an API key for a server or a script, and the line for API_KEYS of the hub. The line holds only a hash of the key.`,
  options: grantOptions,
  operands: [1, 1],
  examples: ["tidings key ci --publish 'deploys/*'", "tidings key dashboard --subscribe '**'"],
  async run(given) {
    await makeApiKey(given.operands[0]!, given)
    return EXIT.ok
  },
}

/** Prints a key for its user, and the line for the hub, which does not reveal the key. @throws Failure usage */
export async function makeApiKey(name: string, given: Given): Promise<void> {
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')
  const lists = [given.value('publish') ?? '', given.value('subscribe') ?? '']
  const hub = hubIn(given)
  const line = [name, await sha256(secret), ...lists, ...(hub === undefined ? [] : [hub])].join(':')
  refuseWrongLine(line)
  await print(`key:  ${secret}\nline: ${line}\n`)
}

/** The hub that a credential is for; undefined without `--hub`. @throws Failure usage: no hub can have the name */
export function hubIn(given: Given): string | undefined {
  const hub = given.value('hub')
  if (hub !== undefined && !isHubName(hub))
    throw misuse(`Cannot use ${hub} as --hub: expected lower-case letters, digits, . and -`)
  return hub
}

/** The hub would not start with such a line. */
function refuseWrongLine(line: string): void {
  try {
    parseConfig({ API_KEYS: line })
  } catch {
    throw misuse('Cannot make this key: its name has letters, digits and . _ -, and its lists are topics and patterns')
  }
}
