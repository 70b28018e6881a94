import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { base64url, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import type { Fetch, Way } from '../server/ways.ts'

export const SECRET = 'a secret of these tests, of more than 32 bytes'
const API_KEY = 'an-api-key-of-these-tests'
const DEPLOY_KEY = 'another-api-key-of-these-tests'
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PEM = RSA.publicKey.export({ type: 'spki', format: 'pem' }) as string
const ISSUER = 'https://issuer.example'
const AUDIENCE = 'tidings-tests'

interface Claims {
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
}

/** A token as an issuer would make it; `more` replaces its payload's fields. */
export async function token(
  tidings: Claims | undefined,
  more: Record<string, unknown> = {},
  key: Uint8Array | KeyObject = new TextEncoder().encode(SECRET),
  header: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const payload = { iss: ISSUER, aud: AUDIENCE, iat: now, exp: now + 600, ...(tidings && { tidings }), ...more }
  const alg = key instanceof Uint8Array ? 'HS256' : 'RS256'
  return new SignJWT(payload).setProtectedHeader({ alg, ...header }).sign(key as never)
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

/** A token from parts that no honest library would sign. */
function forged(header: unknown, payload: string, signature = 'AAAA'): string {
  return [JSON.stringify(header), payload]
    .map((part) => base64url.encode(part))
    .concat(signature)
    .join('.')
}

/** Tests every promise of a hub with keys, on any runtime. */
export function authSuite({ name, start, stop }: Way): void {
  let fetch: Fetch
  const open: AbortController[] = []
  const settings = {
    AUTH_SECRET: SECRET,
    AUTH_PUBLIC_KEY: PEM,
    AUTH_ISSUER: ISSUER,
    AUTH_AUDIENCE: AUDIENCE,
    API_KEYS: `script:${hashOf(API_KEY)}:news/**,$store:news/*\ndeploy:${hashOf(DEPLOY_KEY)}:news/**:news/*`,
    ANONYMOUS_SUBSCRIBE: 'public/*,$store',
    MAX_READERS_PER_TOKEN: '3',
    HEARTBEAT: '500ms',
  }

  beforeAll(async () => {
    fetch = await start(settings)
  })
  const closeAll = () => {
    for (const abort of open.splice(0)) abort.abort()
  }
  afterAll(() => {
    closeAll()
    return stop()
  })
  afterEach(({ task }) => {
    if (!task.concurrent) closeAll() // tests that run at the same time have open streams
  })

  const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
  const codeOf = async (response: Response) => [response.status, ((await response.json()) as { code?: string }).code]
  const post = async (path: string, value: unknown, headers: Record<string, string> = {}) =>
    fetch(path, {
      method: 'POST',
      body: JSON.stringify(value),
      headers: { 'content-type': 'application/json', ...headers },
    })
  const publish = async (topic: string, data: string, text: string) => {
    const response = await post(`/send?topic=${topic}`, { data }, bearer(text))
    expect(response.status).toBe(200)
    return ((await response.json()) as { id: string }).id
  }
  const stream = async (query: string, headers: Record<string, string> = {}) => {
    const abort = new AbortController()
    open.push(abort)
    const response = await fetch(`/event?${query}`, {
      headers: { accept: 'text/event-stream', ...headers },
      signal: abort.signal,
    })
    const reader = new Reader()
    if (response.status === 200) reader.follow(response.body as unknown as AsyncIterable<Uint8Array>)
    return { response, reader, close: () => abort.abort() }
  }
  const all = () => token({ publish: ['**', '$revoked', '$topics/**'], subscribe: ['**'] }, { sub: 'admin' })

  describe(`over ${name}, a hub with keys`, () => {
    test('refuses every request without a grant, in the same way for topics that exist and topics that do not', async () => {
      await publish('there', 'x', await all())
      const granted = bearer(await token({ publish: ['mine'], subscribe: ['mine'] }, { sub: 'me' }))
      for (const [headers, status, code] of [
        [{}, 401, 'token_missing'],
        [granted, 403, 'forbidden'],
      ] as const) {
        for (const topic of ['there', 'absent']) {
          const asks: [string, RequestInit][] = [
            [
              `/send?topic=${topic}`,
              { method: 'POST', body: '{"data":"x"}', headers: { 'content-type': 'application/json', ...headers } },
            ],
            [
              `/send?topic=${topic}`,
              { method: 'POST', body: '{"data":"x"}', headers: { 'content-type': 'application/x-ndjson', ...headers } },
            ],
            [`/event?topic=${topic}`, { headers }],
            [`/event?topic=${topic}&lastEventId=x-1`, { headers: { ...headers, accept: 'application/json' } }],
            [`/event?topic=mine&topic=${topic}`, { headers }],
            ['/event?topic=**', { headers }],
            [`/topics/${topic}`, { headers }],
            [`/topics/${topic}`, { method: 'DELETE', headers }],
            [`/runs/${topic}`, { headers }],
            [`/runs/${topic}`, { method: 'POST', headers }],
            [`/runs/${topic}`, { method: 'PATCH', headers: { ...headers, 'tidings-run': 'x' } }],
            [`/stop?topic=${topic}`, { method: 'POST', headers }],
            ['/stop?topic=mine', { method: 'POST', headers }],
          ]
          const lines = { method: 'POST', body: '', headers: { 'content-type': 'application/x-ndjson', ...headers } }
          asks.push([`/send?topic=${topic}`, lines], [`/send?topic=${topic}&run=15s`, lines])
          if (status === 401) asks.push(['/send', lines])
          const answers = []
          for (const [path, init] of asks) {
            const response = await fetch(path, init)
            expect(response.headers.get('www-authenticate')).toBe(
              status === 401 ? 'Bearer realm="tidings"' : 'Bearer realm="tidings", error="insufficient_scope"',
            )
            answers.push(await codeOf(response))
          }
          expect(answers).toEqual(asks.map(() => [status, code]))
        }
      }
      expect(await codeOf(await fetch('/send?message=x', { headers: granted }))).toEqual([403, 'forbidden'])
    })

    test('lets a token do what its claims allow, and no more', async () => {
      const mine = await token({ publish: ['chat/*'], subscribe: ['chat/*', 'chat/*/log'] }, { sub: 'me' })
      const { reader } = await stream('topic=chat/*&topic=chat/a', bearer(mine))
      const id = await publish('chat/a', 'hello', mine)
      await publish('other', 'not for it', await all())
      await publish('chat/b', 'world', await all())
      await reader.gets('hello', 'world')
      const rest = await stream('topic=chat/a/log&topic=chat/b', { ...bearer(mine), 'last-event-id': id })
      await rest.reader.gets('world')
      const list = (await (await fetch('/topics', { headers: bearer(mine) })).json()) as { topics: { topic: string }[] }
      expect(list.topics.map(({ topic }) => topic)).toEqual(['chat/a', 'chat/b'])
      for (const path of [
        '/event?topic=chat/**',
        '/event?topic=*/a',
        '/event?topic=chat/a/b',
        '/event?topic=$store',
        '/event',
      ])
        expect([path, (await fetch(path, { headers: bearer(mine), method: 'HEAD' })).status]).toEqual([
          path,
          path.includes('store') || path === '/event' ? 403 : 403,
        ])
      expect(await codeOf(await fetch('/topics/chat/a', { method: 'DELETE', headers: bearer(mine) }))).toEqual([
        403,
        'forbidden',
      ])
    })

    test('lets a token claim topics that it may publish to, show those that it may read, and stop those of its $stop', async () => {
      const producer = bearer(await token({ publish: ['ai/*'], subscribe: [] }, { sub: 'producer' }))
      const reader = bearer(await token({ publish: ['$stop/ai/*'], subscribe: ['ai/*'] }, { sub: 'reader' }))
      const ask = async (method: string, path: string, headers: Record<string, string>) =>
        (await fetch(path, { method, headers })).status
      expect(await ask('POST', '/runs/ai/1?lease=60s', reader)).toBe(403)
      const claiming = await fetch('/runs/ai/1?lease=60s', { method: 'POST', headers: producer })
      const { token: run } = (await claiming.json()) as { token: string }
      expect([await ask('GET', '/runs/ai/1', producer), await ask('GET', '/runs/ai/1', reader)]).toEqual([403, 200])
      const runsOf = async (headers: Record<string, string>) =>
        ((await (await fetch('/runs', { headers })).json()) as { runs: { topic: string }[] }).runs.map(
          ({ topic }) => topic,
        )
      expect([await runsOf(producer), await runsOf(reader)]).toEqual([[], ['ai/1']])
      expect(await ask('POST', '/stop?topic=ai/1', producer)).toBe(403)
      expect(await ask('POST', '/stop?topic=other', reader)).toBe(403)
      expect(await ask('POST', '/stop?topic=ai/1', reader)).toBe(200)
      const proof = { 'tidings-run': run }
      expect(await ask('PATCH', '/runs/ai/1', { ...reader, ...proof })).toBe(403)
      const renewed = await fetch('/runs/ai/1', { method: 'PATCH', headers: { ...producer, ...proof } })
      expect([renewed.status, await renewed.json()]).toEqual([200, expect.objectContaining({ isStopAsked: true })])
    })

    test('lets clients without credentials read what ANONYMOUS_SUBSCRIBE allows', async () => {
      await publish('public/a', 'x', await all())
      const { reader } = await stream('topic=public/*&from=earliest')
      await reader.gets('x')
      expect((await stream('')).response.status).toBe(200)
      expect(await codeOf(await post('/send?topic=public/a', { data: 'y' }))).toEqual([401, 'token_missing'])
    })

    test('lets an API key do what its line allows, and no more', async () => {
      const key = bearer(API_KEY)
      expect((await post('/send?topic=news/a/b', { data: 'x' }, key)).status).toBe(200)
      expect((await fetch('/send?message=by+a+script', { headers: key })).status).toBe(200)
      expect(await codeOf(await post('/send?topic=other', { data: 'x' }, key))).toEqual([403, 'forbidden'])
      expect((await fetch('/event?topic=news/a', { headers: key, method: 'HEAD' })).status).toBe(200)
      expect(await codeOf(await fetch('/event?topic=news/a/b', { headers: key }))).toEqual([403, 'forbidden'])
      expect(await codeOf(await fetch('/event?topic=news/a', { headers: bearer(`${API_KEY}x`) }))).toEqual([
        401,
        'token_invalid',
      ])
    })

    test('keeps its own topics from every token, except $store', async () => {
      const wild = bearer(
        await token(
          { publish: ['$store', '$x', '$secrets/**', '$tickets'], subscribe: ['$secrets/**', '$tickets', '$store'] },
          { sub: 'x' },
        ),
      )
      expect((await post('/ticket', undefined, wild)).status).toBe(200)
      for (const topic of ['$x', '$store', '$secrets/tickets', '$tickets'])
        expect(await codeOf(await post(`/send?topic=${topic}`, { data: 'x' }, wild))).toEqual([403, 'forbidden'])
      for (const topic of ['$secrets/*', '$secrets/tickets', '$tickets'])
        expect(await codeOf(await fetch(`/event?topic=${topic}&from=earliest`, { headers: wild }))).toEqual([
          403,
          'forbidden',
        ])
      expect(await (await fetch('/topics?prefix=$', { headers: wild })).json()).toEqual({
        topics: [expect.objectContaining({ topic: '$store' })],
      })
    })

    test('hides the number of readers in /ready, and serves /health and /openapi.json to everybody', async () => {
      expect(await (await fetch('/ready')).json()).not.toHaveProperty('readers')
      expect((await fetch('/health')).status).toBe(200)
      expect((await fetch('/openapi.json')).status).toBe(200)
    })
  })

  describe(`over ${name}, a token`, () => {
    const now = () => Math.floor(Date.now() / 1000)
    const good = { subscribe: ['public/a'] }
    const body = (more: object = {}) =>
      JSON.stringify({ iss: ISSUER, aud: AUDIENCE, exp: now() + 600, tidings: good, ...more })
    const huge = (exp: string) => body().replace(/"exp":\d+/, `"exp":${exp}`)
    const signed = async (payload: string) => {
      const text = [JSON.stringify({ alg: 'HS256' }), payload].map((part) => base64url.encode(part)).join('.')
      const key = await crypto.subtle.importKey(
        'raw',
        new TextEncoder().encode(SECRET),
        { name: 'HMAC', hash: 'SHA-256' },
        false,
        ['sign'],
      )
      const signature = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(text))
      return `${text}.${base64url.encode(new Uint8Array(signature))}`
    }
    const bad: [string, () => string | Promise<string>][] = [
      ['alg none', () => forged({ alg: 'none' }, body(), '')],
      ['alg None with a signature', () => forged({ alg: 'None' }, body())],
      ['a missing alg', () => forged({ typ: 'JWT' }, body())],
      ['a list of algs', () => forged({ alg: ['HS256'] }, body())],
      ['HS256 signed with the public key', () => token(good, {}, new TextEncoder().encode(PEM))],
      ['HS256 signed with the public key, trimmed', () => token(good, {}, new TextEncoder().encode(PEM.trim()))],
      ['another secret', () => token(good, {}, new TextEncoder().encode(`${SECRET}!`))],
      ['another private key', () => token(good, {}, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
      [
        'a kid that is a path, and another secret',
        () => token(good, {}, new TextEncoder().encode('x'.repeat(40)), { kid: '../../dev/null' }),
      ],
      [
        'a key of its own',
        () =>
          token(good, {}, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, {
            jwk: { kty: 'RSA' },
            jku: 'http://127.0.0.1:9/',
            x5u: 'http://127.0.0.1:9/',
          }),
      ],
      ['an unknown critical header', () => forged({ alg: 'HS256', crit: ['x'], x: 1 }, body())],
      ['another issuer', () => token(good, { iss: 'https://evil.example' })],
      ['a missing issuer', () => token(good, { iss: undefined })],
      ['another audience', () => token(good, { aud: 'somebody-else' })],
      ['a missing audience', () => token(good, { aud: undefined })],
      ['an exp in the past', () => token(good, { exp: now() - 60 })],
      ['a missing exp', () => token(good, { exp: undefined })],
      ['an exp too far away', () => token(good, { exp: now() + 25 * 3600 })],
      ['an exp that is a text', () => signed(huge('"9999999999"'))],
      ['an infinite exp', () => signed(huge('1e400'))],
      ['a fractional exp in the past', () => token(good, { exp: now() - 59.5 })],
      ['a fractional nbf in the future', () => token(good, { nbf: now() + 600.5 })],
      ['an iat that is a text', () => token(good, { iat: `${now()}` as never })],
      ['an iat that no date has', () => signed(body({ iat: 0 }).replace('"iat":0', '"iat":1e308'))],
      ['an nbf in the future', () => token(good, { nbf: now() + 600 })],
      ['a missing claim', () => token(undefined)],
      ['a claim that is a list', () => token(['public/a'] as never)],
      ['an invalid pattern', () => token({ subscribe: ['a/**/b'] })],
      ['101 patterns', () => token({ subscribe: Array.from({ length: 101 }, (_, i) => `t/${i}`) })],
      ['a sub that is not a string', () => token(good, { sub: 5 as never })],
      ['a length of 20 KB', () => token(good, { pad: 'x'.repeat(20_000) })],
      ['only its first two parts', async () => (await token(good)).split('.').slice(0, 2).join('.')],
      ['a changed payload', async () => (await token(good)).replace(/\.(.)/, (_, c) => `.${c === 'a' ? 'b' : 'a'}`)],
    ]
    for (const [what, make] of bad)
      test(`is refused for ${what}: 401 on every route, with no fallback to anonymous`, async () => {
        const headers = bearer(await make())
        const asks = [
          fetch('/event?topic=public/a', { headers }),
          post('/send?topic=public/a', { data: 'x' }, headers),
          fetch('/topics', { headers }),
          post('/ticket', undefined, headers),
          post('/login', undefined, headers),
        ]
        for (const response of await Promise.all(asks)) {
          // Some runtimes refuse a header of 20 KB before the hub sees the request.
          if (response.status === 431) continue
          expect(response.headers.get('www-authenticate')).toBe('Bearer realm="tidings", error="invalid_token"')
          expect(await codeOf(response)).toEqual([401, 'token_invalid'])
        }
      })

    test('is refused under another scheme, in a list of tokens, or in two headers', async () => {
      const mine = await token(good)
      for (const authorization of [
        `Basic ${mine}, Bearer ${mine}`,
        `Digest ${mine}`,
        mine,
        `Bearer ${mine}, Bearer ${mine}`,
        `Bearer  `,
        `Bearer ${mine} x`,
        `Token ${mine}`,
      ])
        expect([
          authorization.slice(0, 8),
          ...(await codeOf(await fetch('/topics', { headers: { authorization } }))),
        ]).toEqual([authorization.slice(0, 8), 401, 'token_invalid'])
      const twice = new Headers([
        ['authorization', `Bearer ${mine}`],
        ['authorization', `Bearer ${mine}`],
      ])
      expect(await codeOf(await fetch('/topics', { headers: twice }))).toEqual([401, 'token_invalid'])
    })

    test('may have fractional times (RFC 7519, 2)', async () => {
      const times = { exp: now() + 60.5, iat: now() - 0.25, nbf: now() - 5.125 }
      const headers = bearer(await token(good, { ...times, sub: 'fractional' }))
      expect((await fetch('/event?topic=public/a', { method: 'HEAD', headers })).status).toBe(200)
      const { expiresAt } = (await (await post('/login', undefined, headers)).json()) as { expiresAt: string }
      expect(Date.parse(expiresAt)).toBe(1000 * times.exp)
      const { ticket } = (await (await post('/ticket', undefined, headers)).json()) as { ticket: string }
      expect((await stream(`topic=public/a&ticket=${ticket}`)).response.status).toBe(200)
    })

    test('is accepted if it is signed with either key, and with the scheme in any case', async () => {
      for (const text of [
        await token(good, {}, RSA.privateKey),
        await token(good),
        await token(good, { nbf: now() - 5, jti: 'x' }),
      ])
        for (const scheme of ['Bearer', 'bearer', 'BEARER'])
          expect(
            (await fetch('/event?topic=public/a', { method: 'HEAD', headers: { authorization: `${scheme} ${text}` } }))
              .status,
          ).toBe(200)
    })
  })

  describe(`over ${name}, the Basic credentials of a proxy`, () => {
    const basic = { authorization: `Basic ${btoa('proxy:password')}` }

    test('do not replace the login cookie', async () => {
      const login = await post('/login', undefined, bearer(await token({ subscribe: ['room'] }, { sub: 'me' })))
      const headers = { ...basic, cookie: login.headers.get('set-cookie')!.split(';')[0]! }
      expect((await fetch('/event?topic=room', { method: 'HEAD', headers })).status).toBe(200)
      expect((await fetch('/event?topic=other', { method: 'HEAD', headers })).status).toBe(403)
      expect(
        (await fetch('/event?topic=room', { method: 'HEAD', headers: { ...headers, cookie: `${headers.cookie}x` } }))
          .status,
      ).toBe(401)
    })

    test('do not replace a ticket', async () => {
      const response = await post('/ticket', undefined, bearer(await token({ subscribe: ['room'] }, { sub: 'me' })))
      const { ticket } = (await response.json()) as { ticket: string }
      expect((await stream(`topic=room&ticket=${ticket}`, basic)).response.status).toBe(200)
      expect(await codeOf((await stream(`topic=room&ticket=${ticket}`, basic)).response)).toEqual([
        401,
        'ticket_invalid',
      ])
    })

    test('do not replace what clients without credentials may do', async () => {
      expect((await stream('topic=public/*', basic)).response.status).toBe(200)
      expect(await codeOf(await fetch('/event?topic=room', { headers: basic }))).toEqual([401, 'token_missing'])
      expect(await codeOf(await post('/login', undefined, basic))).toEqual([401, 'token_missing'])
    })
  })

  describe(`over ${name}, a page`, () => {
    test('logs in with a token, uses its cookie, and logs out', async () => {
      const mine = await token({ subscribe: ['room'] }, { sub: 'me' })
      const response = await post('/login', undefined, bearer(mine))
      expect(response.status).toBe(200)
      const cookie = response.headers.get('set-cookie')!
      expect(cookie).toMatch(/^__Host-tidings=[\w.-]+; Path=\/; Max-Age=\d+; HttpOnly; Secure; SameSite=Strict$/)
      const [pair] = cookie.split(';')
      expect((await fetch('/event?topic=room', { method: 'HEAD', headers: { cookie: pair! } })).status).toBe(200)
      expect((await fetch('/event?topic=other', { method: 'HEAD', headers: { cookie: pair! } })).status).toBe(403)
      for (const bad of [`${pair}x`, '__Host-tidings=', `\u00a0${pair}`, `${pair}; ${pair}`, `x${pair}`])
        expect((await fetch('/event?topic=room', { method: 'HEAD', headers: { cookie: bad } })).status).toBe(401)
      const out = await fetch('/login', { method: 'DELETE' })
      expect(out.headers.get('set-cookie')).toMatch(/^__Host-tidings=; Path=\/; Max-Age=0;/)
      expect(await codeOf(await post('/login', undefined, { cookie: pair! }))).toEqual([401, 'token_missing'])
    })
  })

  describe(`over ${name}, a cookie`, () => {
    const refusal = async (response: Response) => {
      const { code, detail } = (await response.json()) as { code: string; detail: string }
      return [response.status, code, detail]
    }
    /** A token of at least this length, padded by a claim. */
    const tokenOf = async (length: number) => {
      const make = (letters: number) => token({ subscribe: ['room'] }, { sub: 'me', pad: 'x'.repeat(letters) })
      const base = (await make(0)).length
      for (let letters = Math.floor(((length - base) * 3) / 4) - 3; ; letters++) {
        const made = await make(letters)
        if (made.length >= length) return made
      }
    }

    test('of 4,096 bytes is set, a larger one is refused with what to do, because browsers drop it', async () => {
      const login = '__Host-tidings'
      const fits = await tokenOf(4090 - login.length)
      expect(fits.length).toBeLessThanOrEqual(4096 - login.length)
      const set = await post('/login', undefined, bearer(fits))
      expect([set.status, set.headers.get('set-cookie')!.split(';')[0]]).toEqual([200, `${login}=${fits}`])
      const large = await tokenOf(4097 - login.length)
      const response = await post('/login', undefined, bearer(large))
      expect(response.headers.get('set-cookie')).toBeNull()
      expect(await refusal(response)).toEqual([
        ...[413, 'cookie_too_large'],
        `Cannot put this token into a cookie: it would have ${large.length + login.length} bytes, and browsers drop cookies of more than 4096; use a shorter token, with patterns in place of many topics`,
      ])
      expect((await fetch('/event?topic=room', { method: 'HEAD', headers: bearer(large) })).status).toBe(200)
    })

    test('of a ticket is refused before there is a ticket, because its stream could not reconnect', async () => {
      const grant = (topics: number) =>
        token({ subscribe: Array.from({ length: topics }, (_, i) => `${'room/'.repeat(9)}${i}`) }, { sub: 'me' })
      const small = await post('/ticket', undefined, bearer(await grant(40)))
      const { ticket } = (await small.json()) as { ticket: string }
      const opened = await stream(`topic=${'room/'.repeat(9)}1&ticket=${ticket}`)
      const [pair] = opened.response.headers.get('set-cookie')!.split(';')
      expect(pair!.length).toBeLessThanOrEqual(4097)
      const [status, code, detail] = await refusal(await post('/ticket', undefined, bearer(await grant(80))))
      expect([status, code]).toEqual([413, 'cookie_too_large'])
      expect(detail).toMatch(/would have \d{4} bytes, and browsers drop cookies of more than 4096; use a shorter token/)
    })
  })

  /** Opens a streamed body: `say` sends a line, `answer` resolves with the answer. */
  const sender = (text: string) => {
    let lines!: ReadableStreamDefaultController<Uint8Array>
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        lines = controller
      },
    })
    const headers = { 'content-type': 'application/x-ndjson', ...bearer(text) }
    const init = { method: 'POST', body, headers, duplex: 'half' } as RequestInit
    const answer = fetch('/send?topic=lines', init).then(codeAndTaken)
    return { say: (data: string) => lines.enqueue(new TextEncoder().encode(`{"data":"${data}"}\n`)), answer }
  }
  const codeAndTaken = async (response: Response) => {
    const { code, taken } = (await response.json()) as { code?: string; taken?: number }
    return { status: response.status, code, taken }
  }
  const refused = { status: 401, code: 'token_invalid', taken: 1 }

  describe(`over ${name}, a streamed body`, () => {
    test('is refused before its first item when its token may not publish', async () => {
      const headers = { 'content-type': 'application/x-ndjson', ...bearer(await token({ publish: ['other'] })) }
      const response = await fetch('/send?topic=lines', { method: 'POST', body: '', headers })
      expect(await codeAndTaken(response)).toEqual({ status: 403, code: 'forbidden', taken: 0 })
    })

    test('stops when its token is revoked', async () => {
      const { reader } = await stream('topic=lines', bearer(await all()))
      const { say, answer } = sender(await token({ publish: ['lines'] }, { sub: 'me', jti: 'streams' }))
      say('before')
      await reader.gets('before')
      expect((await post('/revoke', { jti: 'streams' }, bearer(await all()))).status).toBe(204)
      say('after')
      expect(await answer).toEqual(refused)
    })
  })

  describe(`over ${name}, a ticket`, () => {
    const ticketOf = async (text: string) =>
      ((await (await post('/ticket', undefined, bearer(text))).json()) as { ticket: string }).ticket

    test('opens one stream with the rights of its token, and further ones only with the cookie that it left', async () => {
      // A subject of its own: workerd counts the streams that other tests have closed until it writes to them.
      const holder = { sub: 'holder of a ticket', jti: 'ticketed' }
      const mine = await token({ subscribe: ['room/*'], publish: ['room/*'] }, holder)
      const ticket = await ticketOf(mine)
      const id = await publish('room/a', 'one', mine)
      const first = await stream(`topic=room/*&ticket=${ticket}&lastEventId=${id.replace(/\d+$/, '0')}`)
      await first.reader.gets('one')
      const cookie = first.response.headers.get('set-cookie')!
      expect(cookie).toMatch(
        /^__Secure-tidings-event=[\w.-]+; Path=\/event; Max-Age=(59\d|600); HttpOnly; Secure; SameSite=Strict$/,
      )
      const headers = { cookie: cookie.split(';')[0]! }
      expect(await codeOf((await stream(`topic=room/*&ticket=${ticket}`)).response)).toEqual([401, 'ticket_invalid'])
      const again = await stream(`topic=room/*&ticket=${ticket}`, { ...headers, 'last-event-id': id })
      await publish('room/b', 'two', mine)
      await again.reader.gets('two')
      const other = await ticketOf(mine)
      expect(await codeOf(await fetch(`/event?topic=else&ticket=${other}`, { headers }))).toEqual([403, 'forbidden'])
      const stranger = await ticketOf(await token({ subscribe: ['room/*'] }, { sub: 'somebody else' }))
      expect((await stream(`topic=room/*&ticket=${stranger}`)).response.status).toBe(200)
      expect(await codeOf((await stream(`topic=room/*&ticket=${stranger}`, headers)).response)).toEqual([
        401,
        'ticket_invalid',
      ])
      expect(await codeOf(await fetch('/topics', { headers }))).toEqual([200, undefined])
    })

    test('leaves its cookie also when the stream is refused for now, so that a browser can come back', async () => {
      const many = await token({ subscribe: ['room/*'] }, { sub: 'as many as may be' })
      const three = [await stream('topic=room/a', bearer(many)), await stream('topic=room/a', bearer(many))]
      three.push(await stream('topic=room/a', bearer(many)))
      const ticket = await ticketOf(many)
      const turnedAway = await stream(`topic=room/*&ticket=${ticket}`)
      expect(turnedAway.response.status).toBe(200)
      await expect.poll(() => turnedAway.reader.ended).toBe(true)
      expect(turnedAway.reader.events.map(({ event }) => event)).toEqual(['hub.ending'])
      for (const { close } of three) close()
      const headers = { cookie: turnedAway.response.headers.get('set-cookie')!.split(';')[0]! }
      await expect
        .poll(
          async () => {
            const { reader } = await stream(`topic=room/*&ticket=${ticket}`, headers)
            await expect.poll(() => reader.ended || reader.events.length > 0).toBe(true)
            return reader.events[0]?.event
          },
          { timeout: 8000, interval: 200 },
        )
        .toBe('hub.open')
    })

    test('that was never issued, is forged or is a token opens nothing', async () => {
      const mine = await token({ subscribe: ['room/*'] }, { sub: 'me' })
      for (const text of [
        'x',
        mine,
        forged({ alg: 'none', typ: 'tidings-ticket' }, '{"grant":{"subscribe":["**"]},"exp":9999999999,"jti":"x"}', ''),
      ])
        expect(await codeOf(await fetch(`/event?topic=room/a&ticket=${text}`))).toEqual([401, 'ticket_invalid'])
      expect(await codeOf(await post('/ticket', undefined))).toEqual([401, 'token_missing'])
      expect(await codeOf(await post('/ticket', undefined, bearer(API_KEY)))).toEqual([401, 'token_missing'])
    })

    test('is not used up by HEAD', async () => {
      const ticket = await ticketOf(await token({ subscribe: ['room/*'] }, { sub: 'looks first' }))
      await fetch(`/event?topic=room/a&ticket=${ticket}`, { method: 'HEAD' })
      expect((await stream(`topic=room/a&ticket=${ticket}`)).response.status).toBe(200)
    })

    test('opens one stream for ten concurrent requests', async () => {
      const ticket = await ticketOf(await token({ subscribe: ['race'] }, { sub: 'racer' }))
      const tries = await Promise.all(Array.from({ length: 10 }, () => stream(`topic=race&ticket=${ticket}`)))
      expect(tries.filter(({ response }) => response.status === 200)).toHaveLength(1)
      expect(tries.filter(({ response }) => response.status === 401)).toHaveLength(9)
    })
  })

  describe(`over ${name}, a stream`, () => {
    test('ends when its jti or its sub is revoked, and the token is refused from then on', async () => {
      const one = await token({ subscribe: ['room'] }, { sub: 'first', jti: `jti-${name}` })
      const two = await token({ subscribe: ['room'] }, { sub: 'second' })
      const other = await token({ subscribe: ['room'] }, { sub: 'third', jti: 'other' })
      const streams = [
        await stream('topic=room', bearer(one)),
        await stream('topic=room', bearer(two)),
        await stream('topic=room', bearer(other)),
      ]
      for (const { reader } of streams) await expect.poll(() => reader.control('open').length).toBe(1)
      expect(await codeOf(await post('/revoke', { jti: 'x' }, bearer(two)))).toEqual([403, 'forbidden'])
      expect(await codeOf(await post('/revoke', { nothing: 'x' }, bearer(await all())))).toEqual([400, 'body_invalid'])
      expect((await post('/revoke', { jti: `jti-${name}` }, bearer(await all()))).status).toBe(204)
      expect((await post('/revoke', { sub: 'second' }, bearer(await all()))).status).toBe(204)
      await expect.poll(() => streams.map(({ reader }) => reader.ended), { timeout: 5000 }).toEqual([true, true, false])
      for (const text of [one, two])
        expect(await codeOf(await fetch('/event?topic=room', { headers: bearer(text) }))).toEqual([
          401,
          'token_invalid',
        ])
      expect((await fetch('/event?topic=room', { method: 'HEAD', headers: bearer(other) })).status).toBe(200)
    })

    test('of an API key survives the revocation of a sub of that name, and ends when the key is revoked', async () => {
      const deploy = bearer(DEPLOY_KEY)
      const namesake = bearer(await token({ subscribe: ['news/a'] }, { sub: 'deploy' }))
      const ofKey = await stream('topic=news/a', deploy)
      const ofToken = await stream('topic=news/a', namesake)
      for (const { reader } of [ofKey, ofToken]) await expect.poll(() => reader.control('open').length).toBe(1)
      expect((await post('/revoke', { sub: 'deploy' }, bearer(await all()))).status).toBe(204)
      await expect.poll(() => ofToken.reader.ended, { timeout: 5000 }).toBe(true)
      expect(await codeOf(await fetch('/event?topic=news/a', { headers: namesake }))).toEqual([401, 'token_invalid'])
      expect((await post('/send?topic=news/a', { data: 'still here' }, deploy)).status).toBe(200)
      await ofKey.reader.gets('still here')
      expect((await post('/revoke', { key: 'deploy' }, bearer(await all()))).status).toBe(204)
      await expect.poll(() => ofKey.reader.ended, { timeout: 5000 }).toBe(true)
      expect(await codeOf(await post('/send?topic=news/a', { data: 'x' }, deploy))).toEqual([401, 'token_invalid'])
    })

    test('of a revoked sub opens for a token that was issued later; a token without iat is refused with the reason', async () => {
      const named = (more: object) => token({ subscribe: ['room'] }, { sub: 'undated', ...more })
      const head = async (text: string) =>
        (await fetch('/event?topic=room', { method: 'HEAD', headers: bearer(text) })).status
      const undated = await named({ iat: undefined })
      expect(await head(undated)).toBe(200)
      expect((await post('/revoke', { sub: 'undated' }, bearer(await all()))).status).toBe(204)
      const refused = await fetch('/event?topic=room', { headers: bearer(undated) })
      expect([refused.status, ((await refused.json()) as { detail: string }).detail]).toEqual([
        401,
        'Cannot accept this token: its sub was revoked, and without iat it may be older than that; issue tokens with iat',
      ])
      expect(await head(await named({ iat: (Date.now() - 1) / 1000 - 1 }))).toBe(401)
      expect(await head(await named({ iat: (Date.now() + 1) / 1000 + 1 }))).toBe(200)
    })

    test('of an API key cannot be renewed by a token whose subject has the same name, and counts separately', async () => {
      const script = bearer(API_KEY)
      const { reader } = await stream('topic=news/a', script)
      await expect.poll(() => reader.control('open')).toHaveLength(1)
      const namesake = bearer(await token({ subscribe: ['news/a'] }, { sub: 'script' }))
      const renewed = (headers: Record<string, string>) =>
        post(`/streams/${reader.control('open')[0]!.stream}`, {}, headers)
      expect(await codeOf(await renewed(namesake))).toEqual([404, 'stream_unknown'])
      expect((await renewed(script)).status).toBe(200)
      for (let i = 0; i < 3; i++) expect((await stream('topic=news/a', namesake)).response.status).toBe(200)
      expect(await codeOf(await fetch('/event?topic=news/a', { headers: namesake }))).toEqual([429, 'too_many_readers'])
      await expect.poll(() => reader.control('open')).toHaveLength(1)
      const second = await stream('topic=news/a', script)
      await expect.poll(() => second.reader.control('open')).toHaveLength(1)
    })

    test('counts towards MAX_READERS_PER_TOKEN, also among concurrent requests', async () => {
      const eager = bearer(await token({ subscribe: ['room'] }, { sub: 'eager' }))
      const abort = new AbortController()
      open.push(abort)
      const init = { headers: { ...eager, accept: 'application/json' }, signal: abort.signal }
      const statuses: number[] = []
      for (let i = 0; i < 10; i++)
        fetch('/event?topic=room&wait=30&repeat=1000', init).then(
          ({ status }) => void statuses.push(status),
          () => {}, // the request waits until the end of the test
        )
      await expect.poll(() => statuses).toEqual(Array(7).fill(429))
      const mine = bearer(await token({ subscribe: ['room'] }, { sub: 'many' }))
      const three = [
        await stream('topic=room', mine),
        await stream('topic=room', mine),
        await stream('topic=room', mine),
      ]
      for (const { response } of three) expect(response.status).toBe(200)
      expect(await codeOf(await fetch('/event?topic=room', { headers: mine }))).toEqual([429, 'too_many_readers'])
      three[0]!.close()
      await expect
        .poll(async () => (await stream('topic=room', { ...mine, accept: '*/*' })).response.status, {
          timeout: 8000,
          interval: 200,
        })
        .toBe(200)
    })
  })

  // The tests wait for seconds, so they run at the same time.
  describe(`over ${name}, the end of a token`, { concurrent: true }, () => {
    const streamName = (reader: Reader) => reader.control('open')[0]!.stream as string

    test('stops the streamed body that it opened', async ({ expect }) => {
      const { reader } = await stream('topic=lines', bearer(await all()))
      const mine = await token({ publish: ['lines'] }, { sub: 'me', exp: Math.floor(Date.now() / 1000) - 1 })
      const { say, answer } = sender(mine) // accepted for five seconds more, because clocks may differ
      say('in time')
      await expect.poll(() => reader.data).toEqual(['in time'])
      await new Promise((resolve) => setTimeout(resolve, 5000))
      say('too late')
      expect(await answer).toEqual(refused)
    })

    test('is announced to its streams by hub.expiring, and ends them', async ({ expect }) => {
      const exp = Math.floor(Date.now() / 1000) + 3
      const { reader } = await stream('topic=room', bearer(await token({ subscribe: ['room'] }, { sub: 'brief', exp })))
      await expect.poll(() => reader.control('expiring')).toEqual([{ at: expect.stringMatching(/^\d{4}-/) }])
      const seed = await stream('', bearer(await token({ subscribe: ['$store'] }, { sub: 'brief', exp })))
      await expect.poll(() => seed.reader.ended, { timeout: 6000 }).toBe(true)
      await expect.poll(() => reader.ended, { timeout: 6000 }).toBe(true)
      expect(Date.now() / 1000).toBeGreaterThan(exp - 0.3)
      expect(Date.now() / 1000).toBeLessThan(exp + 2)
    })

    test('does not end a stream that is renewed with a fresh token and other topics; not by another subject, and not for more than is granted', async ({
      expect,
    }) => {
      const exp = Math.floor(Date.now() / 1000) + 4
      const first = await token({ subscribe: ['room/*'] }, { sub: 'renewer', exp })
      const { reader } = await stream('topic=room/1', bearer(first))
      await expect.poll(() => reader.control('open').length).toBe(1)
      const path = `/streams/${streamName(reader)}`
      const fresh = await token({ subscribe: ['room/*', 'hall'] }, { sub: 'renewer' })
      const others = await token({ subscribe: ['**'] }, { sub: 'somebody else' })
      expect(await codeOf(await post(path, {}, bearer(others)))).toEqual([404, 'stream_unknown'])
      expect(await codeOf(await post(path, {}))).toEqual([404, 'stream_unknown'])
      expect(await codeOf(await post('/streams/none', {}, bearer(fresh)))).toEqual([404, 'stream_unknown'])
      expect(await codeOf(await post(path, { topics: ['room/1', 'cellar'] }, bearer(fresh)))).toEqual([
        403,
        'forbidden',
      ])
      const narrow = await token({ subscribe: ['hall'] }, { sub: 'renewer' })
      expect(await codeOf(await post(path, {}, bearer(narrow)))).toEqual([403, 'forbidden'])
      await publish('room/1', 'before', await all())
      await expect.poll(() => reader.data).toEqual(['before'])
      const renewed = await post(path, { topics: ['hall', 'room/2'] }, bearer(fresh))
      expect(await renewed.json()).toEqual({
        stream: streamName(reader),
        topics: ['hall', 'room/2'],
        expiresAt: expect.any(String),
      })
      await publish('room/1', 'no more', await all())
      await publish('hall', 'after', await all())
      await expect.poll(() => reader.data).toEqual(['before', 'after'])
      await new Promise((resolve) => setTimeout(resolve, 1000 * exp - Date.now() + 1500))
      expect(reader.ended).toBe(false)
      await publish('room/2', 'still', await all())
      await expect.poll(() => reader.data).toEqual(['before', 'after', 'still'])
    })
  })
}
