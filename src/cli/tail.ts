import process from 'node:process'
import { isPattern } from '../topic.ts'
import { type Command, hubOptions } from './command.ts'
import { EXIT, type ExitCode, misuse } from './failure.ts'
import { follow, type Item } from './follow.ts'
import type { Given } from './given.ts'
import { remoteOf } from './remote.ts'
import { endWithReader, print } from './stdout.ts'
import { forTerminal, painted, remark } from './terminal.ts'

const BEGINNINGS = ['from', 'last', 'since'] as const

/** `tidings tail`: prints the events of topics as they arrive. */
export const tail: Command = {
  usage: 'tail TOPIC… [FLAG…]',
  about: `Prints the data of each event; for several topics or a pattern, the topic and a tab before it. Resumes by itself after every
interruption, a restart of the hub too, and misses nothing without saying so: a gap is a line on stderr. Ends when all topics are closed,
with exit code 1 if the run of one has failed or was abandoned.`,
  options: {
    from: { value: 'ID', about: 'Begin after the event with this id; earliest begins with the oldest kept event' },
    last: { value: 'N', about: 'Begin with the newest N events' },
    since: { value: 'TIME', about: 'Begin at a time: 10m, 2h, 7d ago, or 2026-11-24T09:00:00Z' },
    json: {
      about: 'Print a line of JSON for each event: id, topic, event, data, time; {"gap":…} and {"closed":…} too',
    },
    ...hubOptions,
  },
  operands: [1, 100],
  examples: [
    'tidings tail chat/room-1 --last 10',
    "tidings tail 'orders/**' news --from earliest --json",
    'tidings tail deploys | head -1',
    "tidings tail '$store'",
  ],
  async run(given) {
    endWithReader()
    const topics = given.operands
    const isNamed = topics.length > 1 || topics.some(isPattern)
    const following = {
      topics,
      ...beginningOf(given),
      onWait: (ms: number, position = 'the beginning', why: string) =>
        remark(`${why}; going on after ${position} in ${Math.ceil(ms / 1000)} s`),
    }
    let exit: ExitCode = EXIT.ok
    for await (const item of follow(remoteOf(given), following)) {
      await (given.isOn('json') ? printJson(item) : printText(item, isNamed))
      if (isBroken(item)) exit = EXIT.failed
    }
    return exit
  },
}

function beginningOf(given: Given) {
  const names = BEGINNINGS.filter((name) => given.value(name) !== undefined)
  if (names.length > 1) throw misuse(`Cannot use --${names[0]} beside --${names[1]}: give one beginning`)
  const [name] = names
  if (name === undefined) return { beginning: {} }
  const value = given.value(name)!
  return name === 'from' && value !== 'earliest' ? { after: value, beginning: {} } : { beginning: { [name]: value } }
}

function printJson(item: Item): Promise<void> {
  return print(`${JSON.stringify('event' in item ? item.event : item)}\n`)
}

async function printText(item: Item, isNamed: boolean): Promise<void> {
  if ('event' in item) {
    const { topic, data } = item.event
    await print(`${isNamed ? `${painted('cyan', topic)}\t` : ''}${forTerminal(data)}\n`)
  } else if ('gap' in item) warnOf(item.gap)
  else if (isBroken(item)) warn(`${item.closed.topic} is closed: ${endOf(item.closed)}`)
  else remark(`${item.closed.topic} is closed`)
}

/** Whether a topic has ended before its producer was done. */
function isBroken(item: Item): boolean {
  return 'closed' in item && (item.closed.outcome === 'failed' || item.closed.outcome === 'abandoned')
}

function endOf({ outcome, detail }: { readonly outcome?: string; readonly detail?: string }): string {
  if (outcome === 'abandoned') return 'abandoned, its producer gave no sign of life'
  return detail === undefined ? 'failed' : `failed, ${forTerminal(detail)}`
}

function warnOf({ reason, from, to }: Readonly<Record<string, unknown>>): void {
  const range = [from && `after ${from}`, to && `up to ${to}`].filter(Boolean).join(' ')
  warn(`gap (${reason}): events ${range} are missing`)
}

/** Tells of a loss, without a terminal too. */
function warn(sentence: string): void {
  process.stderr.write(`${painted('yellow', sentence, 'stderr')}\n`)
}
