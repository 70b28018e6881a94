import { expect } from 'vitest'
import { formOf, latin1, multipart, unannounced } from './bodies.ts'
import type { Client } from './client.ts'

const KIB = 1024

type Refusal = [what: string, send: () => Promise<Response>, status: number, code: string]

/** Tests what `/send` refuses, each with a status and a code, and without a change. */
export function refusals({
  group,
  fetch,
  fetchUnchecked,
  post,
  postJson,
  postKeyed,
  publish,
  stream,
  current,
  expectProblem,
  it,
  everywhere,
  freshTopic,
}: Client): void {
  group('/send', () => {
    const refusedBodies: Refusal[] = [
      ['malformed JSON', () => post('/send', '{"message":', 'application/json'), 400, 'body_invalid'],
      [
        'a body that is not UTF-8',
        () => post('/send', new Uint8Array([0x22, 0xff, 0x22]), 'application/json'),
        400,
        'encoding_invalid',
      ],
      ['a query that is not UTF-8', () => fetch('/send?message=%ff'), 400, 'encoding_invalid'],
      [
        'a form that is not UTF-8',
        () => post('/send', 'message=%ED%A0%80', 'application/x-www-form-urlencoded'),
        400,
        'encoding_invalid',
      ],
      [
        'a multipart form that is not UTF-8',
        () =>
          post('/send', latin1(multipart('x').replace('in parts', 'Gr\xfc\xdfe')), 'multipart/form-data; boundary=x'),
        400,
        'encoding_invalid',
      ],
      [
        'a compressed body',
        () =>
          fetch('/send', {
            method: 'POST',
            body: 'x',
            headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
          }),
        415,
        'content_type_unsupported',
      ],
      ['a multipart form of more than 200 parts', () => post('/send', formOf(FormData, 201)), 413, 'too_many_fields'],
      ['a broken multipart form', () => post('/send', 'x', 'multipart/form-data; boundary=y'), 400, 'body_invalid'],
      [
        'a body of more than 64 KiB',
        () => post('/send', JSON.stringify({ message: 'x', pad: 'y'.repeat(64 * KIB) }), 'application/json'),
        413,
        'body_too_large',
      ],
      [
        'a body of more than 64 KiB without a Content-Length',
        () =>
          fetchUnchecked('/send', {
            method: 'POST',
            body: unannounced(),
            headers: { 'content-type': 'application/json' },
            duplex: 'half',
          }),
        413,
        'body_too_large',
      ],
      [
        'an item that exceeds 64 KiB before it ends',
        () =>
          fetch('/send?topic=a', {
            method: 'POST',
            body: unannounced('data: '),
            headers: { 'content-type': 'text/event-stream' },
            duplex: 'half',
          }),
        413,
        'body_too_large',
      ],
      [
        'data that makes its event longer than 63 KiB',
        () => post('/send?topic=a', 'x'.repeat(63 * KIB - 100), 'text/plain'),
        413,
        'event_too_large',
      ],
      [
        'lines that make their event longer than 63 KiB',
        () => post('/send?topic=a', 'short\n'.repeat(58_000 / 6), 'text/plain'),
        413,
        'event_too_large',
      ],
      [
        'quotes that make the JSON of their event longer than 63 KiB',
        () => post('/send?topic=a', '"'.repeat(32 * KIB), 'text/plain'),
        413,
        'event_too_large',
      ],
    ]
    const refused: Refusal[] = [
      ['a GET without a message', () => fetch('/send'), 400, 'message_missing'],
      ['a POST without a message', () => fetch('/send', { method: 'POST' }), 400, 'message_missing'],
      ...['event=x', 'run=15s', 'run=x', 'grace=1s', 'done=x'].map(
        (query): Refusal => [
          `a POST without a topic that has ${query}`,
          () => postJson(`/send?${query}`, { message: 'x' }),
          400,
          'topic_missing',
        ],
      ),
      ['JSON without a message', () => postJson('/send', { text: 'x' }), 400, 'message_missing'],
      ['a message given twice', () => fetch('/send?message=a&message=b'), 400, 'parameter_repeated'],
      [
        'a message given twice in a form',
        () => post('/send', new URLSearchParams('message=a&message=b')),
        400,
        'parameter_repeated',
      ],
      ['a message that is not a string', () => postJson('/send', { message: 5 }), 400, 'message_invalid'],
      ['a JSON list', () => postJson('/send', ['x']), 400, 'body_invalid'],
      [
        'deeply nested JSON',
        () => post('/send', `{"message":"x","a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'application/json'),
        400,
        'body_invalid',
      ],
      [
        'half of a surrogate pair',
        () => post('/send', '{"message":"\\ud800"}', 'application/json'),
        400,
        'message_invalid',
      ],
      ...DECLARED_AS_LATIN1.map(
        ([kind, type, body]) =>
          [
            `${kind} that declares another charset than UTF-8`,
            () => post(kind === 'a multipart form' ? '/send' : '/send?topic=a', latin1(body), type),
            415,
            'content_type_unsupported',
          ] as Refusal,
      ),
      ['plain text without a topic', () => post('/send', 'x', 'text/plain'), 415, 'content_type_unsupported'],
      ['XML', () => post('/send', '<x/>', 'application/xml'), 415, 'content_type_unsupported'],
      [
        'a form of more than 100 fields',
        () =>
          fetch('/send', {
            method: 'POST',
            body: new URLSearchParams(Array.from({ length: 101 }, (_, i) => [`f${i}`, 'x'])),
          }),
        413,
        'too_many_fields',
      ],
      [
        'a query of more than 100 names',
        () => fetch(`/send?message=x&${Array.from({ length: 100 }, (_, i) => `f${i}=x`).join('&')}`),
        413,
        'too_many_fields',
      ],
      ['a form of more than 200 values', () => post('/send', formOf(URLSearchParams, 201)), 413, 'too_many_fields'],
      [
        'a multipart form with two boundaries',
        () => post('/send', multipart('x'), 'multipart/form-data; boundary=x; boundary=y'),
        400,
        'body_invalid',
      ],
      [
        'a multipart form with an escaped boundary',
        () => post('/send', multipart('xy'), 'multipart/form-data; boundary="x\\y"'),
        400,
        'body_invalid',
      ],
      [
        'a message whose event is longer than 63 KiB',
        () => postJson('/send', { message: 'x'.repeat(63 * KIB - 100) }),
        413,
        'event_too_large',
      ],
      ['a topic by GET', () => fetch('/send?topic=a&data=x'), 405, 'method_not_allowed'],
      ['message instead of data', () => postJson('/send?topic=a', { message: 'x' }), 400, 'field_unknown'],
      ['two topics', () => postJson('/send?topic=a&topic=b', { data: 'x' }), 400, 'parameter_repeated'],
      [
        'a topic in the query and another in the body',
        () => postJson('/send?topic=a', { topic: 'b', data: 'x' }),
        400,
        'topic_conflict',
      ],
      ['a topic that is not a string', () => postJson('/send', { topic: ['a'], data: 'x' }), 400, 'topic_invalid'],
      ['a message without data', () => postJson('/send?topic=a', {}), 400, 'data_missing'],
      ['a topic without a body', () => fetch('/send?topic=a', { method: 'POST' }), 400, 'data_missing'],
      [
        'data with a number too large for a double',
        () => post('/send?topic=a', '{"data":{"n":[1e400]}}', 'application/json'),
        400,
        'body_invalid',
      ],
      ['close that is neither true nor false', () => postJson('/send?topic=a', { close: 1 }), 400, 'body_invalid'],
      ['an unknown field', () => postJson('/send?topic=a', { data: 'x', evnet: 'y' }), 400, 'field_unknown'],
      ['an empty list', () => postJson('/send?topic=a', []), 400, 'data_missing'],
      ['a list of strings', () => postJson('/send?topic=a', ['x']), 400, 'body_invalid'],
      [
        'a list with one bad message',
        () => postJson('/send?topic=a', [{ data: 'x' }, { data: 'y', retry: 1 }]),
        400,
        'retry_invalid',
      ],
      [
        'a list with a message without a topic',
        () => postJson('/send', [{ topic: 'a', data: 'x' }, { data: 'y' }]),
        400,
        'topic_missing',
      ],
      [
        'a list of 1001 messages',
        () =>
          postJson(
            '/send?topic=a',
            Array.from({ length: 1001 }, () => ({ data: '' })),
          ),
        413,
        'batch_too_long',
      ],
      ['a field in the query', () => post('/send?topic=a&event=e', 'x', 'text/plain'), 400, 'parameter_unknown'],
      ['an unknown field in a form', () => post('/send?topic=a', new URLSearchParams('hello')), 400, 'field_unknown'],
      [
        'data given twice in a form',
        () => post('/send?topic=a', new URLSearchParams('data=x&data=y')),
        400,
        'parameter_repeated',
      ],
      [
        'a retry in a form that is not a number',
        () => post('/send?topic=a', new URLSearchParams('data=x&retry=soon')),
        400,
        'retry_invalid',
      ],
      [
        'Idempotency-Key beside a key',
        () => postKeyed('/send?topic=a', 'K', { data: 'x', key: 'k' }),
        400,
        'key_invalid',
      ],
      [
        'Idempotency-Key beside a key in a list',
        () => postKeyed('/send?topic=a', 'K', [{ data: 'x' }, { data: 'y', key: 'k' }]),
        400,
        'key_invalid',
      ],
      [
        'an Idempotency-Key that is too long',
        () => postKeyed('/send?topic=a', 'K'.repeat(181), { data: 'x' }),
        400,
        'key_invalid',
      ],
      ['NDJSON without a topic', () => post('/send', '{"data":"x"}\n', 'application/x-ndjson'), 400, 'topic_missing'],
      [
        'an event stream without a topic',
        () => post('/send', 'data: x\n\n', 'text/event-stream'),
        400,
        'topic_missing',
      ],
      [
        'an item of more than 64 KiB',
        () => post('/send?topic=a', JSON.stringify({ data: 'x'.repeat(64 * KIB) }), 'application/x-ndjson'),
        413,
        'body_too_large',
      ],
      [
        'an event name with a line end',
        () => postJson('/send?topic=a', { data: 'x', event: 'a\nb' }),
        400,
        'event_invalid',
      ],
      [
        'an event name that is not a string',
        () => postJson('/send?topic=a', { data: 'x', event: 1 }),
        400,
        'event_invalid',
      ],
      [
        'a reserved event name',
        () => postJson('/send?topic=a', { data: 'x', event: 'hub.open' }),
        400,
        'event_invalid',
      ],
      [
        'a retry that injects a field',
        () => postJson('/send?topic=a', { data: 'x', retry: '0\r\nevent: admin' }),
        400,
        'retry_invalid',
      ],
      ['a retry out of bounds', () => postJson('/send?topic=a', { data: 'x', retry: 1 }), 400, 'retry_invalid'],
      ['an empty key', () => postJson('/send?topic=a', { data: 'x', key: '' }), 400, 'key_invalid'],
      ["a topic of the hub's own", () => post('/send?topic=$store', 'x', 'text/plain'), 403, 'forbidden'],
      ['a pattern', () => post('/send?topic=a/*', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['a topic with a space', () => post('/send?topic=a%20b', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['a topic with a control character', () => post('/send?topic=a%0a', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['an empty topic', () => post('/send?topic=', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['a topic of 201 bytes', () => post(`/send?topic=${'x'.repeat(201)}`, 'x', 'text/plain'), 413, 'topic_too_long'],
      ['a DELETE', () => fetch('/send?message=x', { method: 'DELETE' }), 405, 'method_not_allowed'],
      [
        'a GET from another site',
        () => fetch('/send?message=x', { headers: { 'sec-fetch-site': 'cross-site' } }),
        403,
        'cross_site',
      ],
      [
        'a GET from another origin of this site',
        () => fetch('/send?message=x', { headers: { 'sec-fetch-site': 'same-site' } }),
        403,
        'cross_site',
      ],
      [
        'a GET with the Origin of another site and no Fetch Metadata',
        () => fetch('/send?message=x', { headers: { origin: 'http://evil.example' } }),
        403,
        'cross_site',
      ],
      [
        'a GET with the Referer of another site and no Fetch Metadata',
        () => fetch('/send?message=x', { headers: { referer: 'http://evil.example/page' } }),
        403,
        'cross_site',
      ],
      [
        'a prefetch',
        () => fetch('/send?message=x', { headers: { 'sec-purpose': 'prefetch;prerender' } }),
        403,
        'cross_site',
      ],
      [
        'a POST from another site',
        () => fetch('/send?message=x', { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } }),
        403,
        'cross_site',
      ],
      [
        'a POST from another origin of this site',
        () => fetch('/send?message=x', { method: 'POST', headers: { 'sec-fetch-site': 'same-site' } }),
        403,
        'cross_site',
      ],
      [
        'a POST with the Origin of another site and no Fetch Metadata',
        () => fetch('/send?message=x', { method: 'POST', headers: { origin: 'https://evil.example' } }),
        403,
        'cross_site',
      ],
      [
        'a POST with Origin null',
        () => fetch('/send?message=x', { method: 'POST', headers: { origin: 'null' } }),
        403,
        'cross_site',
      ],
    ]
    const refuses = (test: Client['it'], [what, send, status, code]: Refusal) =>
      test(`refuses ${what}: ${status} ${code}, and changes nothing`, async () => {
        await fetch('/send?message=untouched')
        const { reader } = await stream('/event?topic=**')
        await expect.poll(() => reader.control('open')).toHaveLength(1) // runs of cases before may be ended meanwhile
        const problem = await expectProblem(await send(), status, code)
        const [, lines] = [await publish(freshTopic(), 'x'), reader]
        await expect.poll(() => lines.data).toEqual(['x'])
        expect(await current()).toBe('untouched')
        expect(JSON.stringify(problem).length).toBeLessThan(1000)
      })
    for (const refusal of refusedBodies) refuses(everywhere, refusal)
    for (const refusal of refused) refuses(it, refusal)
  })
}

/** Bodies that declare ISO-8859-1. Nobody who respects the declared charset reads their bytes as UTF-8. */
const DECLARED_AS_LATIN1: [kind: string, type: string, body: string][] = [
  ['JSON', 'application/json; charset=iso-8859-1', '{"data":"Gr\\u00fc\xdfe"}'],
  ['plain text', 'text/plain; charset="ISO-8859-1"', 'Gruesse'],
  ['plain text in a second declaration', 'text/plain; charset=utf-8; x="; charset=utf-8"; CHARSET=utf-16', 'Gruesse'],
  ['a url-encoded form', 'application/x-www-form-urlencoded;charset=windows-1252', 'data=Gruesse'],
  ['a multipart form', 'multipart/form-data; boundary=x; charset=latin1', multipart('x')],
  [
    'a part of a multipart form',
    'multipart/form-data; boundary=x',
    multipart('x').replace('\r\n\r\n', '\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n'),
  ],
  ['NDJSON', 'application/x-ndjson; charset=iso-8859-1', '{"data":"Gruesse"}\n'],
  ['an event stream', 'text/event-stream; charset=iso-8859-1', 'data: Gruesse\n\n'],
]
