import { Buffer } from 'node:buffer'
import process from 'node:process'
import { Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { type Command, hubOptions } from './command.ts'
import { EXIT, Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { type Remote, remoteOf } from './remote.ts'
import { print } from './stdout.ts'
import { Progress, sizeText } from './terminal.ts'

/** `tidings send`: publishes one event, or every item of a stream on stdin. */
export const send: Command = {
  usage: 'send TOPIC [DATA|-] [FLAG…]',
  about: `Publishes an event and prints its id. With - the data is all of stdin. With --ndjson or --sse every item of stdin is an event, published
as it arrives, and the answer is how many.

If the exit code is 3, the event may have been published: the same command with the same --key publishes what is missing, and nothing twice.`,
  options: {
    event: { value: 'NAME', about: 'The name of the event' },
    key: { value: 'KEY', about: 'Makes it safe to send again: what has this key already is not published again' },
    close: { about: 'Close the topic after it: the streams of its readers end' },
    ndjson: { about: 'Stdin is NDJSON: one message a line, {"data":…,"event":…}' },
    sse: { about: 'Stdin is an event stream, such as the answer of a language model' },
    json: { about: 'Print the whole answer of the hub as JSON' },
    ...hubOptions,
  },
  operands: [1, 2],
  examples: [
    "tidings send chat/room-1 'hello' --key m-1",
    'uptime | tidings send status -',
    'tidings send numbers --ndjson --key import-1 < numbers.ndjson',
    'tidings send ai/answer --sse --close < answer.txt',
    'tidings send chat/room-1 --close',
  ],
  async run(given) {
    const [topic, data] = given.operands as [string, string?]
    const isStream = given.isOn('ndjson') || given.isOn('sse')
    refuseCombinations(given, data, isStream)
    const remote = remoteOf(given)
    const answer = isStream ? await sendStream(remote, topic, given) : await sendOne(remote, topic, data, given)
    if (given.isOn('json')) await print(`${JSON.stringify(answer)}\n`)
    else await print(`${isStream ? `${answer.taken}` : answer.id}\n`)
    return EXIT.ok
  },
}

/** What the hub answers. */
interface Answer {
  readonly id?: string
  readonly taken?: number
  readonly incomplete?: boolean
}

function refuseCombinations(given: Given, data: string | undefined, isStream: boolean): void {
  if (given.isOn('ndjson') && given.isOn('sse')) throw misuse('Cannot use --ndjson beside --sse: stdin is one of them')
  if (isStream && data !== undefined && data !== '-')
    throw misuse('Cannot use DATA beside --ndjson or --sse: they read stdin')
  if (isStream && given.value('event') !== undefined)
    throw misuse('Cannot use --event beside --ndjson or --sse: each item names its event')
  if (!isStream && data === undefined && !given.isOn('close'))
    throw misuse('Cannot send nothing: give DATA, or - to read it from stdin')
}

async function sendOne(remote: Remote, topic: string, data: string | undefined, given: Given): Promise<Answer> {
  const [event, key] = [given.value('event'), given.value('key')]
  const message = {
    ...(data !== undefined && { data: data === '-' ? withoutLastLineEnd(await textOf(process.stdin)) : data }),
    ...(event !== undefined && { event }),
    ...(key !== undefined && { key }),
    ...(given.isOn('close') && { close: true }),
  }
  return post(remote, topic, { 'content-type': 'application/json' }, JSON.stringify(message))
}

/** `echo` and editors end text with a line end, which nobody means as a part of the data. */
function withoutLastLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}

async function sendStream(remote: Remote, topic: string, given: Given): Promise<Answer> {
  const key = given.value('key')
  const type = given.isOn('sse') ? 'text/event-stream' : 'application/x-ndjson'
  const headers = { 'content-type': type, ...(key !== undefined && { 'idempotency-key': key }) }
  const progress = new Progress()
  const answer = await post(remote, topic, headers, bodyOf(process.stdin, progress)).finally(() => progress.clear())
  if (answer.incomplete)
    throw new Failure(
      `Stdin ended inside an item: ${answer.taken} items before it are published; send all of it again with the same --key`,
    )
  if (given.isOn('close')) await sendOne(remote, topic, undefined, given)
  return answer
}

function bodyOf(input: NodeJS.ReadStream, progress: Progress): ReadableStream<Uint8Array> {
  let bytes = 0
  const counted = async function* () {
    for await (const chunk of input) {
      const part = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer)
      bytes += part.byteLength
      if (!input.isTTY) progress.show(`Sent ${sizeText(bytes)}`)
      yield part
    }
  }
  return Readable.toWeb(Readable.from(counted(), { objectMode: false })) as ReadableStream<Uint8Array>
}

async function post(
  remote: Remote,
  topic: string,
  headers: Readonly<Record<string, string>>,
  body: string | ReadableStream<Uint8Array>,
): Promise<Answer> {
  const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit
  const answer = await remote.request(`/send?topic=${encodeURIComponent(topic)}`, init)
  return (await answer.json()) as Answer
}
