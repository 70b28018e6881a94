import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { attacks } from './answers.ts'

const KIB = 1024
const CAP = 64 * KIB
const DEPTH = 20_000
const MAX_ANSWER_MS = 10_000
/** The most bodies a second: the test measures what one of them costs, not how many fill a processor. */
const RATE = 20
const BOUNDARY = 'b'

/** A body that must be refused, and the expected answer. */
interface Bad {
  readonly type: string
  readonly body: string | Buffer
  readonly expected: string
  readonly path?: string
  /** Sent without a length, so that the server has to count. */
  readonly chunked?: true
  readonly encoding?: string
}

const part = (i: number) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="f${i}"\r\n\r\nx\r\n`
const many = (separator: string, one: (i: number) => string) => {
  let text = ''
  for (let i = 0; text.length + separator.length + one(i).length < CAP - 100; i++) text += (i ? separator : '') + one(i)
  return text
}
const json = 'application/json'
const form = 'application/x-www-form-urlencoded'
const ndjson = 'application/x-ndjson'

const kinds = {
  'ten times the cap': { type: json, body: ' '.repeat(10 * CAP), expected: '413 body_too_large' },
  'the same in chunks': { type: json, body: ' '.repeat(10 * CAP), chunked: true, expected: '413 body_too_large' },
  'a line of ten times the cap': {
    type: ndjson,
    body: 'x'.repeat(10 * CAP),
    chunked: true,
    expected: '413 body_too_large',
  },
  'an event of ten times the cap': {
    type: 'text/event-stream',
    body: `data: ${'x'.repeat(10 * CAP)}`,
    chunked: true,
    expected: '413 body_too_large',
  },
  'ten megabytes in ten kilobytes': {
    type: json,
    body: gzipSync(Buffer.alloc(10 * KIB ** 2, ' ')),
    encoding: 'gzip',
    expected: '415 content_type_unsupported',
  },
  'compressed lines': {
    type: ndjson,
    body: gzipSync('{"data":"x"}\n'),
    encoding: 'br',
    expected: '415 content_type_unsupported',
  },
  [`lists in lists, ${DEPTH} deep`]: {
    type: json,
    body: '['.repeat(DEPTH) + ']'.repeat(DEPTH),
    expected: '400 body_invalid',
  },
  'objects in objects': {
    type: json,
    body: '{"a":'.repeat(CAP / 6 - 100) + 0 + '}'.repeat(CAP / 6 - 100),
    expected: '400 body_invalid',
  },
  'an object with very many names': {
    type: json,
    body: `{${many(',', (i) => `"${i}":0`)}}`,
    expected: '400 field_unknown',
  },
  'a list of very many messages': {
    type: json,
    body: `[${many(',', () => '{"data":0}')}]`,
    expected: '413 batch_too_long',
  },
  'a form with very many parts': {
    type: `multipart/form-data; boundary=${BOUNDARY}`,
    body: `${many('', part)}--${BOUNDARY}--\r\n`,
    expected: '413 too_many_fields',
  },
  'a form with very many boundaries': {
    type: `multipart/form-data${`;${' '.repeat(2)}boundary=${'-'.repeat(8)}x`.repeat(700)}`,
    body: '-'.repeat(CAP - 100),
    expected: '400 body_invalid',
  },
  'a form with very many names': { type: form, body: many('&', (i) => `f${i}=x`), expected: '413 too_many_fields' },
  'a form with one name very often': { type: form, body: many('&', () => 'data=x'), expected: '413 too_many_fields' },
  'more topics than a stream may have': {
    type: form,
    path: '/event',
    body: many('&', (i) => `topic=t/${i}/*`),
    expected: '413 too_many_fields',
  },
} satisfies Record<string, Bad>

const port = Number(process.argv[2])

const calls = {
  /** Sends every kind this often, one after another. @returns the unexpected answers */
  async send(times: number): Promise<readonly string[]> {
    const others = new Set<string>()
    for (let i = 0; i < times; i++)
      for (const [kind, bad] of Object.entries(kinds)) {
        const began = performance.now()
        const answer = await post(bad)
        if (answer !== bad.expected) others.add(`${kind}: ${answer}`)
        await pause(Math.max(0, began + 1000 / RATE - performance.now()))
      }
    return [...others]
  },
}

/** Sends a body until there is an answer; resolves with its status and code. */
function post({ type, body, path = '/send?topic=bad', chunked, encoding }: Bad): Promise<string> {
  return new Promise((resolve) => {
    const headers = {
      'content-type': type,
      ...(encoding && { 'content-encoding': encoding }),
      ...(chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': Buffer.byteLength(body) }),
    }
    const signal = AbortSignal.timeout(MAX_ANSWER_MS)
    const asked = request({ port, path, method: 'POST', headers, agent: false, signal })
    asked.on('response', async (answer) => {
      let text = ''
      try {
        for await (const piece of answer.setEncoding('utf8')) text += piece
        resolve(`${answer.statusCode} ${JSON.parse(text).code}`)
      } catch (error) {
        resolve(`${answer.statusCode}, ${error}`)
      }
      asked.destroy()
    })
    asked.on('error', (error) => resolve(String(error))) // after an answer this changes nothing
    asked.end(body)
  })
}

export type Bodies = typeof calls

attacks(calls)
