import process from 'node:process'
import { type Command, hubOptions } from './command.ts'
import { EXIT } from './failure.ts'
import { type Remote, remoteOf } from './remote.ts'
import { print } from './stdout.ts'
import { painted } from './terminal.ts'

const PAGE = 1000

/** `tidings topics`: lists topics. */
export const topics: Command = {
  usage: 'topics [PATTERN] [FLAG…]',
  about: `Lists topics by name, with their kept events, readers and newest id. Without a terminal, columns are separated by tabs and have no title.`,
  options: {
    prefix: { value: 'TEXT', about: 'Only topics whose names begin with this' },
    json: { about: 'Print a line of JSON for each topic' },
    ...hubOptions,
  },
  operands: [0, 1],
  examples: ["tidings topics 'chat/*'", 'tidings topics --prefix chat/ --json', 'tidings topics | cut -f1'],
  async run(given) {
    const query = new URLSearchParams({ limit: `${PAGE}` })
    const [pattern] = given.operands
    const prefix = given.value('prefix')
    if (pattern !== undefined) query.set('topic', pattern)
    if (prefix !== undefined) query.set('prefix', prefix)
    const isTable = process.stdout.isTTY === true && !given.isOn('json')
    if (isTable) await print(painted('dim', `${aligned(['KEPT', 'READERS', 'STATE', 'LAST ID'])}TOPIC\n`))
    for await (const topic of pagesOf(remoteOf(given), query))
      await print(given.isOn('json') ? `${JSON.stringify(topic)}\n` : rowOf(topic, isTable))
    return EXIT.ok
  },
}

interface Topic {
  readonly topic: string
  readonly lastId: string | null
  readonly kept: number
  readonly readers: number
  readonly closed: boolean
}

async function* pagesOf(remote: Remote, query: URLSearchParams): AsyncGenerator<Topic> {
  for (;;) {
    const answer = await remote.request(`/topics?${query}`)
    const { topics, next } = (await answer.json()) as { topics: Topic[]; next?: string }
    yield* topics
    if (next === undefined) return
    query.set('after', next)
  }
}

function rowOf({ topic, lastId, kept, readers, closed }: Topic, isTable: boolean): string {
  const cells = [`${kept}`, `${readers}`, closed ? 'closed' : 'open', lastId ?? '-']
  return isTable ? `${aligned(cells)}${topic}\n` : `${[topic, ...cells].join('\t')}\n`
}

function aligned(cells: readonly string[]): string {
  const widths = [10, 9, 8, 22]
  return cells.map((cell, i) => cell.padEnd(widths[i]!)).join('')
}
