import { createHash } from 'node:crypto'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { base64url } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { soak } from '../seed.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, type Server, start } from '../server/server.ts'
import { token } from './suite.ts'

/** A text to search for in everything that the hub puts out. */
interface Canary {
  readonly name: string
  readonly text: string
  /** Whether the text looks like any topic: then an answer may repeat the text to a client that sent it as a topic. */
  readonly isShapeless?: boolean
}

/** A request, exactly as it is sent. */
interface Ask {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body?: string
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A place in a request where a canary can stand. */
interface Place {
  readonly name: string
  /** Whether the place is in a body, which only some methods have. */
  readonly isBody?: boolean
  put(ask: Ask, text: string): Ask
}

const SECRET = 'canary-of-a-secret-that-signs-tokens-4c1f'
const API_KEY = 'canary-of-an-api-key-9b7e'
/** Part of every query. No line of the request log may contain this text. */
const MARK = 'canary-of-a-query-5d20'
/** The fields of `RequestLine`, and the fields that a logger adds. */
const FIELDS: Readonly<Record<string, RegExp>> = {
  level: /^(30|40|info|warn)$/,
  time: /^(\d{13}|\d{4}-\d\d-\d\dT[\d:.]+Z)$/,
  method: /^[A-Z]{3,7}$/,
  path: /^\/[^?]{0,1200}$/,
  status: /^[2-4]\d\d$/,
  code: /^[a-z_]+$/,
  ms: /^\d+(\.\d)?$/,
  address: /^127\.0\.0\.1$/,
  stream: /^[0-9a-f]{8}$/,
  end: /^[a-z]+$/,
  who: /^(127\.0\.0\.1|[\w-]{1,20})$/,
  topics: /^\d{1,3}$/,
  events: /^\d+$/,
  bytes: /^\d+$/,
}

const bytes = (text: string) => new TextEncoder().encode(text)
const bearer = (text: string) => `Bearer ${text}`
/** Leaves out claims, so that a token is short enough to be sent as a topic. Topics may contain every character of a token. */
const brief = { iss: undefined, aud: undefined, iat: undefined }
const everything = { publish: ['**', '$store', '$topics/**', '$revoked'], subscribe: ['**', '$store'] }

const header = (name: string, value = (text: string) => text): Place => ({
  name: `the header ${name}`,
  put: (ask, text) => ({ ...ask, headers: { ...ask.headers, [name]: value(text) } }),
})
const parameter = (name: string): Place => ({
  name: `?${name}=`,
  put: (ask, text) => ({ ...ask, path: `${ask.path}&${name}=${encodeURIComponent(text)}` }),
})
const path = (name: string, value: (path: string, text: string) => string): Place => ({
  name: `the path${name}`,
  put: (ask, text) => ({ ...ask, path: value(ask.path, text) }),
})
const body = (name: string, type: string, value: (text: string) => string, query = ''): Place => ({
  name: `a body, ${name}`,
  isBody: true,
  put: (ask, text) => ({
    ...ask,
    path: ask.path + query,
    headers: { ...ask.headers, 'content-type': type },
    body: value(text),
  }),
})
const json = (name: string, value: (text: string) => unknown, query?: string) =>
  body(`JSON with ${name}`, 'application/json', (text) => JSON.stringify(value(text)), query)

/** Places where clients put credentials, rightly or wrongly. */
const credentialPlaces: readonly Place[] = [
  header('authorization', bearer),
  header('authorization'),
  header('authorization', (text) => `Basic ${text}`),
  header('authorization', (text) => `Bearer ${text}, Bearer ${text}`),
  header('cookie', (text) => `__Host-tidings=${text}`),
  header('cookie', (text) => `__Host-tidings=${text}; __Host-tidings=${text}`),
  header('cookie', (text) => `__Secure-tidings-event=${text}`),
  ...['ticket', 'token', 'access_token'].map(parameter),
  {
    name: '?ticket= with a cookie',
    put: (ask, text) => parameter('ticket').put(credentialPlaces[6]!.put(ask, text), text),
  },
]

/** Places that are not for credentials, where a client may put a token by mistake. An `x` in a path stands for its variable part. */
const otherPlaces: readonly Place[] = [
  path('', (path, text) => path.replace(/\/x(?=[/?])/g, `/${text}`)),
  path(', percent-encoded', (path, text) => path.replace(/\/x(?=[/?])/g, `/${text.replaceAll('.', '%2E')}`)),
  path(', in the middle', (path, text) => path.replace(/\/x(?=[/?])/g, `/a/${text}/b%0a`)),
  path(', at its end', (path, text) => path.replace('?', `/${text}?`)),
  ...['topic', 'lastEventId', 'from', 'since', 'last', 'wait', 'prefix', 'after', 'limit', 'data'].map(parameter),
  path(': a wrong pattern', (path, text) => `${path}&topic=${text}/**/x`),
  path(': a name in the query', (path, text) => `${path}&${text}=1&${text}=2`),
  ...['last-event-id', 'idempotency-key', 'prefer', 'content-type', 'origin', 'user-agent', 'referer'].map((name) =>
    header(name),
  ),
  header('x-forwarded-for'),
  header('host'),
  json('a topic', (text) => ({ data: 'x', topic: text })),
  json('a topic beside another', (text) => ({ data: 'x', topic: text }), '&topic=b'),
  json('a topic that is wrong', (text) => [{ data: 'x', topic: `${text}//` }]),
  json('a topic of the hub', (text) => [{ data: 'x', topic: `$${text}` }]),
  json('an event name', (text) => ({ data: 'x', event: text }), '&topic=b'),
  json('an event name that is wrong', (text) => ({ data: 'x', event: `hub.${text}` }), '&topic=b'),
  json('a key', (text) => ({ data: Math.random(), key: text }), '&topic=b'),
  json('a key that is wrong', (text) => ({ data: 'x', key: `${text}\n` }), '&topic=b'),
  json('a close that is wrong', (text) => ({ data: 'x', close: text }), '&topic=b'),
  json('a retry that is wrong', (text) => ({ data: 'x', retry: text }), '&topic=b'),
  json('an unknown field', (text) => ({ data: 'x', [text]: text }), '&topic=b'),
  json('a message', (text) => ({ message: text, data: text }), '&topic=b'),
  json('a list for a message', (text) => ({ message: [text] })),
  json('topics', (text) => ({ topics: [text, `${text}/**/x`] })),
  json('a jti', (text) => ({ jti: text })),
  json('a sub', (text) => ({ sub: text, [text]: 1 })),
  json('a text alone', (text) => text),
  body('malformed JSON', 'application/json', (text) => `{"topic":"${text}",${text}`),
  body('a form', 'application/x-www-form-urlencoded', (text) => `topic=${text}&data=x`),
  body('a form that is wrong', 'application/x-www-form-urlencoded', (text) => `topic=${text}&${text}=1&${text}=2`),
  body('a multipart form', 'multipart/form-data; boundary=b', (text) =>
    ['--b', `content-disposition: form-data; name="${text}"; filename="${text}"`, '', text, '--b--', ''].join('\r\n'),
  ),
  body('plain text', 'text/plain', (text) => text),
  body('an unknown type', 'application/x-token', (text) => text),
  body('NDJSON', 'application/x-ndjson', (text) => `{"data":"x","topic":"${text}"}\n{"${text}":1}\n`),
  body('malformed NDJSON', 'application/x-ndjson', (text) => `${text}\n`, '&topic=b'),
  body('an event stream', 'text/event-stream', (text) => `event: ${text}\nid: ${text}\ndata: x\n\n`, '&topic=b'),
]

/** A matcher of a field's pattern; undefined for an unknown field, so that any value of an unknown field fails. */
function like(pattern: RegExp | undefined): unknown {
  return pattern && expect.stringMatching(pattern)
}

function send({ port }: Server, agent: Agent, { method, path, headers, body }: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', agent, method, path, headers }, (response) => {
      let text = ''
      const isStream = response.headers['content-type']?.startsWith('text/event-stream')
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
        if (isStream) response.destroy() // a stream does not end by itself
      })
      response.on('close', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Writes raw text, and waits until the other side closes the connection. */
function write(port: number, text: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
    socket.write(text)
  })
}

describe.each(part([node], [bun, deno, worker]))('over $name', (runtime) => {
  /** Whether to send fewer requests: wrangler handles only about a hundred a second. */
  const isSlow = runtime === worker && !soak
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const canaries: Canary[] = []
  /** Texts that must not be found: each canary as a whole, and each part from which a token could be rebuilt. */
  const tales: { readonly name: string; readonly text: string }[] = []
  let server: Server
  let asks: readonly { readonly method: string; readonly path: string }[]
  /** The number of requests that the hub answered itself. */
  let answered = 0

  const sendAll = async (askings: readonly Ask[]): Promise<Answer[]> => {
    const answers: Answer[] = []
    let next = 0
    const work = async () => {
      for (let i = next++; i < askings.length; i = next++) answers[i] = await send(server, agent, askings[i]!)
    }
    await Promise.all(Array.from({ length: 8 }, work))
    answered += answers.filter(({ headers }) => headers['referrer-policy']).length
    return answers
  }
  const ask = (method: string, path: string, headers: Record<string, string> = {}): Ask => ({ method, path, headers })
  const sendOne = async (one: Ask) => (await sendAll([one]))[0]!
  /** The hub's output since it listens, on workerd without the lines of the platform and of wrangler, which contain whole URLs. */
  const said = () => {
    const since = server.output.slice(runtime.listens.exec(server.output)!.index).replace(/^.*\n/, '')
    return runtime === worker ? since.replace(/^(?!\{).*\n/gm, '') : since
  }
  const foundIn = (text: string) => tales.filter((tale) => text.includes(tale.text)).map(({ name }) => name)

  /** The leaks of an answer. Only a success may repeat what the client sent, and only a login, logout or stream may set a cookie. */
  const leaksOf = ({ method, path }: Ask, place: Place, { status, headers, body }: Answer): string[] => {
    const { 'set-cookie': cookie, ...others } = headers
    const isHandedOut = status === 200 && /^\/(login|event)\b/.test(path)
    const found = [
      ...foundIn(JSON.stringify(isHandedOut ? others : headers)).map((name) => `${name} in a header`),
      ...foundIn(status >= 400 ? body : '').map((name) => `${name} in the body`),
      ...(headers.location === undefined ? [] : ['a redirect']),
      ...(cookie === undefined || isHandedOut || status === 204 ? [] : ['a cookie']),
    ]
    const route = /^\/\w*/.exec(path)![0]
    return found.map((what) => `${method} ${route}, sent in ${place.name} → ${status} with ${what}`)
  }
  const sendEverywhere = async (
    places: readonly Place[],
    sent: readonly Canary[],
    senders: readonly Record<string, string>[],
  ) => {
    const askings = asks.flatMap(({ method, path }) =>
      places
        .filter(({ isBody }) => !isBody || method === 'POST' || method === 'QUERY')
        .flatMap((place) =>
          senders.flatMap((headers) =>
            sent.map(({ text }) => ({ place, ask: place.put(ask(method, path, headers), text) })),
          ),
        ),
    )
    const answers = await sendAll(askings.map(({ ask }) => ask))
    const leaks = answers.flatMap((answer, i) => leaksOf(askings[i]!.ask, askings[i]!.place, answer))
    return { statuses: [...new Set(answers.map(({ status }) => status))], leaks: [...new Set(leaks)].sort() }
  }

  beforeAll(async () => {
    const apiKey = `script:${createHash('sha256').update(API_KEY).digest('hex')}:a,$store:a`
    const settings = { AUTH_SECRET: SECRET, API_KEYS: apiKey, MAX_READERS_PER_TOKEN: '100000', REQUEST_LOG: 'all' }
    server = await start(settings, runtime)
    const description = JSON.parse((await sendOne(ask('GET', '/openapi.json'))).body) as {
      paths: Record<string, object>
    }
    asks = Object.entries(description.paths).flatMap(([template, operations]) => {
      const path = `${template.replace(/\{\w+\}/g, 'x')}?mark=${MARK}`
      const methods = Object.keys(operations).filter((name) => name !== 'parameters')
      return [...methods, 'PUT'].map((method) => ({ method: method.toUpperCase(), path }))
    })
    expect(asks.length).toBeGreaterThan(25)
    asks = [...asks, { method: 'GET', path: `/x?mark=${MARK}` }, { method: 'QUERY', path: `/event?mark=${MARK}` }]

    const past = Math.floor(Date.now() / 1000) - 600
    const mine = { subscribe: ['a'] }
    const valid = await token(mine, { sub: 'canary', jti: 'canary-1' }, bytes(SECRET))
    const ticket = async () => {
      const { body } = await sendOne(ask('POST', '/ticket', { authorization: bearer(valid) }))
      return (JSON.parse(body) as { ticket: string }).ticket
    }
    const used = await ticket()
    const { headers } = await sendOne(ask('GET', `/event?topic=a&ticket=${used}`))
    const cookie = /^__Secure-tidings-event=([^;]+)/.exec(headers['set-cookie']![0]!)![1]!
    const encrypted = [
      base64url.encode('{"alg":"dir","enc":"A256GCM"}'),
      '',
      'canaryA1'.repeat(2),
      'canaryB2'.repeat(8),
      'canaryC3',
    ]
    canaries.push(
      { name: 'a token', text: valid },
      { name: 'a short token', text: await token(mine, brief, bytes(SECRET)) },
      { name: 'a token of another secret', text: await token(mine, { sub: 'x' }, bytes(`${SECRET}!`)) },
      { name: 'an expired token', text: await token(mine, { exp: past }, bytes(SECRET)) },
      { name: 'a ticket', text: await ticket() },
      { name: 'a used ticket', text: used },
      { name: 'the cookie of a ticket', text: cookie },
      { name: 'an encrypted token', text: encrypted.join('.') },
      { name: 'an API key', text: API_KEY, isShapeless: true },
      { name: 'an unknown API key', text: 'canary-of-no-api-key-31aa', isShapeless: true },
      { name: 'the secret', text: SECRET, isShapeless: true },
    )
    expect(canaries[1]!.text.length).toBeLessThan(200)
    for (const { name, text } of canaries) {
      const parts = text.split('.').slice(1)
      for (const part of [...parts, text]) if (part.length >= 16) tales.push({ name, text: part })
    }
  })
  afterAll(async () => {
    agent.destroy()
    await cleanUp()
  })

  test('no answer repeats a credential, valid or not, on any route and from any place in the request', async () => {
    const { statuses, leaks } = await sendEverywhere(credentialPlaces, isSlow ? canaries.slice(0, 2) : canaries, [{}])
    expect(statuses).toEqual(expect.arrayContaining([200, 401, 403, 404, 405]))
    expect(leaks).toEqual([])
  }, 60_000)

  test('no error repeats a token that is sent as a topic, an id, a key, a name or a path', async () => {
    const some = { authorization: bearer(await token({ publish: ['b'], subscribe: ['b'] }, {}, bytes(SECRET))) }
    const all = { authorization: bearer(await token(everything, { sub: 'admin' }, bytes(SECRET))) }
    const names = isSlow ? ['a short token'] : ['a token', 'a short token', 'an encrypted token', 'a ticket']
    const shaped = canaries.filter(({ name }) => names.includes(name))
    const senders = (isSlow ? [some] : [{}, some, all]).map((headers) => ({ ...headers, accept: 'application/json' }))
    const { statuses, leaks } = await sendEverywhere(otherPlaces, shaped, senders)
    expect(statuses).toEqual(
      expect.arrayContaining(isSlow ? [400, 403, 404] : [200, 400, 401, 403, 404, 405, 413, 415]),
    )
    expect(leaks).toEqual([])
  }, 120_000)

  test('the request log escapes line ends and control characters', async () => {
    const odd = ['%0a{"level":1}', '%0d%0a%0d%0a', '%1b[2J%1b]0;x%07', '%c2%85', '%c2%9b31m', '%e2%80%a8', '%e2%80%a9']
    odd.push('%00', '%7f', '%ff%fe', '%22%7d', '%5c%6e', '%f0%9f%92%a9'.repeat(60))
    await sendAll(odd.flatMap((odd) => [ask('GET', `/odd${odd}`), ask('PUT', `/topics/odd${odd}?mark=${MARK}`)]))
    // Raw bytes that no client would send; a runtime may refuse such a request.
    for (const raw of ['\n{"level":1}', '\u001b[2J', '\u0085', '\u009b31m', '\u2028', '\u2029', '\u0000', '\t', '"}'])
      await write(server.port, `GET /odd${raw} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
    expect((await sendOne(ask('GET', '/the-last-of-them'))).status).toBe(404)
    await server.says(/the-last-of-them/)
    expect(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/.exec(said())?.[0]).toBeUndefined()
    const lines = said()
      .split('\n')
      .filter((line) => line.includes('/odd'))
    expect(lines.length).toBeGreaterThanOrEqual(2 * odd.length)
    for (const line of lines) expect(JSON.parse(line).path).toMatch(/^(\/topics)?\/odd/)
  })

  test('the request log has one line for each request, with only the documented fields: no query, no credential', async () => {
    await sendOne(ask('GET', `/the-very-last?mark=${MARK}`))
    await server.says(/the-very-last/)
    const lines = said().trimEnd().split('\n')
    expect(lines.length).toBeGreaterThanOrEqual(answered)
    for (const line of lines) {
      const told = JSON.parse(line) as Record<string, unknown>
      const fields =
        'stream' in told
          ? ['stream', 'end', 'topics', 'ms', 'events', 'bytes']
          : ['method', 'path', 'status', 'ms', 'address']
      expect(Object.keys(told)).toEqual(expect.arrayContaining(fields))
      for (const [name, value] of Object.entries(told)) expect([name, `${value}`]).toEqual([name, like(FIELDS[name])])
    }
    expect(foundIn(said())).toEqual([])
    expect([said().includes(MARK), said().includes('[token]')]).toEqual([false, true])
  })

  test('no answer to another client contains any of the canaries', async () => {
    for (const { method, path } of asks.filter(({ method }) => method === 'GET')) {
      const answer = await sendOne(ask(method, path, { accept: 'application/json' }))
      expect([path, foundIn(JSON.stringify(answer))]).toEqual([path, []])
    }
  })
})
