import { createHash, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Auth } from '../../src/auth/auth.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { part } from '../part.ts'
import { Reader } from '../reader.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, folder, launch, type Process, type Server, start } from '../server/server.ts'
import { type Fetch, fetchOf, over, withoutServer } from '../server/ways.ts'
import { SECRET, token } from './suite.ts'

/** How long the stream of a removed key may stay open. */
const GONE_MS = 5000
const OTHER_SECRET = 'another secret of these tests, as long as it has to be'
const KEYS = Array.from({ length: 3 }, () => generateKeyPairSync('rsa', { modulusLength: 2048 }))
const [ONE, TWO, STRANGE] = KEYS as [(typeof KEYS)[0], (typeof KEYS)[0], (typeof KEYS)[0]]

const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
const bytes = (text: string) => new TextEncoder().encode(text)
const pem = ({ publicKey }: typeof ONE) => publicKey.export({ type: 'spki', format: 'pem' }) as string
const rooms = { publish: ['room/*'], subscribe: ['room/*'] }
const lineOf = (name: string, key: string) => `${name}:${createHash('sha256').update(key).digest('hex')}:room/*:room/*`

const open: AbortController[] = []
const ends: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  for (const abort of open.splice(0)) abort.abort()
  for (const end of ends.splice(0)) await end()
  await cleanUp()
})

async function listen(fetch: Fetch, credentials: Record<string, string>, query = 'topic=room/*') {
  const abort = new AbortController()
  open.push(abort)
  const headers = { accept: 'text/event-stream', ...credentials }
  const response = await fetch(`/event?${query}`, { headers, signal: abort.signal })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, expect.stringMatching(/event-stream/)])
  const reader = new Reader().follow(response.body as unknown as AsyncIterable<Uint8Array>)
  await expect.poll(() => reader.control('open').length).toBe(1)
  return { reader, response }
}

async function answerTo(fetch: Fetch, credentials: Record<string, string>, path = '/event?topic=room/1') {
  const response = await fetch(path, { headers: { accept: 'application/json', ...credentials } })
  const { code } = (await response.json()) as { code?: string }
  return code === undefined ? response.status : `${response.status} ${code}`
}

async function publish(fetch: Fetch, credentials: Record<string, string>, data: string) {
  const headers = { 'content-type': 'text/plain', ...credentials }
  expect((await fetch('/send?topic=room/1', { method: 'POST', body: data, headers })).status).toBe(200)
}

const expectEnd = (reader: Reader) => expect.poll(() => reader.ended, { timeout: GONE_MS }).toBe(true)

/** Returns a function that returns what a process has written to stderr since this call. */
function complaints({ child }: Process): () => string {
  let said = ''
  child.stderr!.on('data', (text: string) => {
    said += text
  })
  return () => said
}

describe.each(part([node], [bun, deno]))('on $name, keys in files', (runtime) => {
  const place = (name: string, text: string) => {
    const file = join(folder(), name)
    writeFileSync(file, text)
    return file
  }
  const hangUp = (server: Server) => process.kill(server.serves, 'SIGHUP')

  test('removing an API key ends its streams within 5 s of a SIGHUP and refuses the key; other streams stay open', async () => {
    const file = place('keys', `# for scripts\n${lineOf('first', 'key-1')}\n\n${lineOf('second', 'key-2')}\n`)
    const server = await start({ LOG: 'memory:', API_KEYS_FILE: file, AUTH_SECRET: SECRET }, runtime)
    const fetch = fetchOf(server)
    const [first, second, mine] = [bearer('key-1'), bearer('key-2'), bearer(await token(rooms))]
    const gone = [await listen(fetch, first), await listen(fetch, first)]
    const kept = [await listen(fetch, second), await listen(fetch, mine)]
    writeFileSync(file, `${lineOf('second', 'key-2')}\n${lineOf('third', 'key-3')}\n`)
    hangUp(server)
    for (const { reader } of gone) {
      await expectEnd(reader)
      expect(reader.text).toMatch(/\n\nevent: hub\.ending\ndata: \{\}\nretry: \d+\n\n$/)
    }
    expect(await answerTo(fetch, first)).toBe('401 token_invalid')
    expect(await answerTo(fetch, bearer('key-3'))).toBe(200)
    await publish(fetch, second, 'still here')
    for (const { reader } of kept) {
      await reader.gets('still here')
      expect(reader.ended).toBe(false)
    }
    for (const { reader } of gone) expect(reader.data).toEqual([])
  })

  test('replacing the key of a name ends the streams of the old key', async () => {
    const file = place('keys', lineOf('script', 'key-1'))
    const server = await start({ LOG: 'memory:', API_KEYS_FILE: file }, runtime)
    const { reader } = await listen(fetchOf(server), bearer('key-1'))
    writeFileSync(file, lineOf('script', 'key-2'))
    hangUp(server)
    await expectEnd(reader)
    expect(await answerTo(fetchOf(server), bearer('key-1'))).toBe('401 token_invalid')
    expect(await answerTo(fetchOf(server), bearer('key-2'))).toBe(200)
  })

  test('narrowing the rights of a key ends its streams, widening them ends none', async () => {
    const line = lineOf('script', 'key-1')
    const file = place('keys', line)
    const server = await start({ LOG: 'memory:', API_KEYS_FILE: file }, runtime)
    const { reader } = await listen(fetchOf(server), bearer('key-1'))
    writeFileSync(file, line.replace(/[^:]+$/, 'elsewhere,room/*,more\n'))
    hangUp(server)
    await expect.poll(() => answerTo(fetchOf(server), bearer('key-1'), '/event?topic=more')).toBe(200)
    await publish(fetchOf(server), bearer('key-1'), 'still here')
    await reader.gets('still here')
    expect(reader.ended).toBe(false)
    writeFileSync(file, line.replace(/[^:]+$/, 'elsewhere\n'))
    hangUp(server)
    await expectEnd(reader)
    expect(await answerTo(fetchOf(server), bearer('key-1'))).toBe('403 forbidden')
  })

  test('replacing a secret or a public key ends the streams of the old one, and its tickets become invalid', async () => {
    const secretFile = place('secret', `${SECRET}\n`)
    const publicFile = place('public.pem', pem(ONE))
    const settings = { LOG: 'memory:', AUTH_SECRET_FILE: secretFile, AUTH_PUBLIC_KEY_FILE: publicFile }
    const server = await start(settings, runtime)
    const fetch = fetchOf(server)
    const bySecret = bearer(await token(rooms, { sub: 'a' }))
    const byKey = bearer(await token(rooms, { sub: 'b' }, ONE.privateKey))
    const ticketOf = async () => {
      const response = await fetch('/ticket', { method: 'POST', headers: bySecret })
      return `topic=room/*&ticket=${((await response.json()) as { ticket: string }).ticket}`
    }
    const [ticket, unused] = [await ticketOf(), await ticketOf()]
    const gone = [await listen(fetch, bySecret), await listen(fetch, {}, ticket)]
    const cookie = gone[1]!.response.headers.get('set-cookie')!.split(';')[0]!
    const kept = await listen(fetch, byKey)
    writeFileSync(secretFile, OTHER_SECRET)
    hangUp(server)
    for (const { reader } of gone) await expectEnd(reader)
    expect(await answerTo(fetch, bySecret)).toBe('401 token_invalid')
    expect(await answerTo(fetch, { cookie }, `/event?${ticket}`)).toBe('401 ticket_invalid')
    expect(await answerTo(fetch, {}, `/event?${unused}`)).toBe('401 ticket_invalid')
    await publish(fetch, bearer(await token(rooms, {}, bytes(OTHER_SECRET))), 'by the new one')
    await kept.reader.gets('by the new one')
    writeFileSync(publicFile, pem(TWO))
    hangUp(server)
    await expectEnd(kept.reader)
    expect(await answerTo(fetch, byKey)).toBe('401 token_invalid')
    expect(await answerTo(fetch, bearer(await token(rooms, {}, TWO.privateKey)))).toBe(200)
  })

  test('a broken file at a SIGHUP changes nothing; the hub reports it without quoting the file', async () => {
    const keys = `${lineOf('first', 'key-1')}\n`
    const apiFile = place('keys', keys)
    const secretFile = place('secret', SECRET)
    const publicFile = place('public.pem', pem(ONE))
    const settings = { API_KEYS_FILE: apiFile, AUTH_SECRET_FILE: secretFile, AUTH_PUBLIC_KEY_FILE: publicFile }
    const server = await start({ LOG: 'memory:', ...settings }, runtime)
    const fetch = fetchOf(server)
    const all = [bearer('key-1'), bearer(await token(rooms)), bearer(await token(rooms, {}, ONE.privateKey))]
    const streams = []
    for (const credentials of all) streams.push(await listen(fetch, credentials))
    const said = complaints(server)
    const breakages: [file: string, broken: string | undefined, good: string, setting: string][] = [
      [apiFile, `${keys}second:canary-of-a-hash:room/*:room/*`, keys, 'API_KEYS'],
      [apiFile, undefined, keys, 'API_KEYS_FILE'],
      [secretFile, 'canary-too-short', SECRET, 'AUTH_SECRET'],
      [secretFile, undefined, SECRET, 'AUTH_SECRET_FILE'],
      [publicFile, '-----BEGIN PUBLIC KEY-----\nY2FuYXJ5\n-----END PUBLIC KEY-----', pem(ONE), 'AUTH_PUBLIC_KEY'],
      [publicFile, '{"kty":"oct","k":"canary"}', pem(ONE), 'AUTH_PUBLIC_KEY'],
    ]
    for (const [i, [file, broken, good, setting]] of breakages.entries()) {
      if (broken === undefined) rmSync(file)
      else writeFileSync(file, broken)
      hangUp(server)
      await expect.poll(() => said().match(/^SIGHUP: kept the keys as they were: /gm)?.length).toBe(i + 1)
      await expect.poll(said).toMatch(new RegExp(`SIGHUP: kept the keys as they were: .*\\n?.*${setting}\\b`))
      for (const credentials of all) expect(await answerTo(fetch, credentials)).toBe(200)
      writeFileSync(file, good)
    }
    expect(said()).not.toMatch(/canary|Y2FuYXJ5|^\s+at /m)
    expect(streams.map(({ reader }) => reader.ended)).toEqual([false, false, false])
    await publish(fetch, all[0]!, 'still here')
    for (const { reader } of streams) await reader.gets('still here')
    hangUp(server)
    await server.says(/^SIGHUP: read the keys again$/m)
  })

  test('an emptied file counts as broken, so that a hub with keys does not become open', async () => {
    for (const [setting, good, credentials] of [
      ['API_KEYS_FILE', lineOf('first', 'key-1'), bearer('key-1')],
      ['AUTH_SECRET_FILE', SECRET, bearer(await token(rooms))],
    ] as const) {
      const file = place('file', good)
      const server = await start({ LOG: 'memory:', [setting]: file }, runtime)
      const { reader } = await listen(fetchOf(server), credentials)
      for (const [i, emptied] of ['', '\n \n', '# none any more\n'].entries()) {
        writeFileSync(file, emptied)
        hangUp(server)
        await expect.poll(() => server.output.match(/^SIGHUP: kept the keys /gm)?.length).toBe(i + 1)
        expect(await answerTo(fetchOf(server), {})).toBe('401 token_missing')
        expect(await answerTo(fetchOf(server), credentials)).toBe(200)
      }
      expect(server.output.match(/^SIGHUP: kept the keys as they were: /gm)).toHaveLength(3)
      expect(reader.ended).toBe(false)
    }
  })

  test('the files are read again every AUTH_RELOAD, without a SIGHUP', async () => {
    const file = place('keys', `${lineOf('first', 'key-1')}\n${lineOf('second', 'key-2')}`)
    const server = await start({ LOG: 'memory:', API_KEYS_FILE: file, AUTH_RELOAD: '1s' }, runtime)
    const { reader } = await listen(fetchOf(server), bearer('key-1'))
    writeFileSync(file, lineOf('second', 'key-2'))
    await expect.poll(() => reader.ended, { timeout: 1000 + GONE_MS }).toBe(true)
    expect(await answerTo(fetchOf(server), bearer('key-1'))).toBe('401 token_invalid')
    expect(await answerTo(fetchOf(server), bearer('key-2'))).toBe(200)
  })

  test('the files are read again every AUTH_RELOAD also while no stream is open', async () => {
    const file = place('keys', lineOf('first', 'key-1'))
    const server = await start({ LOG: 'memory:', API_KEYS_FILE: file, AUTH_RELOAD: '1s' }, runtime)
    expect(await answerTo(fetchOf(server), bearer('key-1'))).toBe(200)
    writeFileSync(file, lineOf('second', 'key-2'))
    await expect
      .poll(() => answerTo(fetchOf(server), bearer('key-1')), { timeout: 1000 + GONE_MS, interval: 100 })
      .toBe('401 token_invalid')
    expect(await answerTo(fetchOf(server), bearer('key-2'))).toBe(200)
  })
})

/** Serves a set of keys on loopback, as an issuer publishes it. */
async function issuer() {
  const set = {
    keys: [] as object[],
    /** Answers every request in place of the set of keys. */
    instead: undefined as ((response: ServerResponse) => void) | undefined,
    requests: 0,
    url: '',
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
    /** Listens on this port, or on any free port. */
    listen: async (port = 0) => {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      set.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    },
  }
  const server = createServer((_, response) => {
    set.requests++
    if (set.instead) return set.instead(response)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: set.keys }))
  })
  await set.listen()
  ends.push(set.close)
  return set
}

const publicJwk = ({ publicKey }: typeof ONE, kid?: string) => ({
  ...publicKey.export({ format: 'jwk' }),
  ...(kid !== undefined && { kid }),
})
const signed = async ({ privateKey }: typeof ONE, header: Record<string, unknown>, more = {}) =>
  bearer(await token(rooms, more, privateKey, header))

describe.each(part([withoutServer()], [node, bun, deno, worker].map(over)))(
  'over $name, a set of keys at AUTH_JWKS_URL',
  (way) => {
    test('is followed while the hub runs: a new key is accepted, a removed key is refused and its streams end', async () => {
      const set = await issuer()
      set.keys = [publicJwk(ONE, 'one')]
      const fetch = await way.start({ AUTH_JWKS_URL: set.url, AUTH_RELOAD: '1s' })
      const byOne = await signed(ONE, { kid: 'one' })
      const byTwo = await signed(TWO, { kid: 'two' })
      const first = await listen(fetch, byOne)
      expect(await answerTo(fetch, byTwo)).toBe('401 token_invalid')
      set.keys.push(publicJwk(TWO, 'two'))
      await expect.poll(() => answerTo(fetch, byTwo), { timeout: 1000 + GONE_MS, interval: 100 }).toBe(200)
      const second = await listen(fetch, byTwo)
      set.keys.shift()
      await expect.poll(() => first.reader.ended, { timeout: 1000 + GONE_MS }).toBe(true)
      expect(first.reader.text).toMatch(/\n\nevent: hub\.ending\ndata: \{\}\nretry: \d+\n\n$/)
      expect(await answerTo(fetch, byOne)).toBe('401 token_invalid')
      await publish(fetch, byTwo, 'still here')
      await second.reader.gets('still here')
      expect(first.reader.data).toEqual([])
    })

    test('with two fitting keys verifies a token without kid with the key that signed it', async () => {
      const set = await issuer()
      set.keys = [publicJwk(ONE, 'one'), publicJwk(TWO)]
      const fetch = await way.start({ AUTH_JWKS_URL: set.url })
      for (const key of [ONE, TWO]) expect(await answerTo(fetch, await signed(key, {}))).toBe(200)
      expect(await answerTo(fetch, await signed(ONE, {}, { exp: 1 }))).toBe('401 token_invalid')
      const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
      expect(await answerTo(fetch, await signed(stranger, {}))).toBe('401 token_invalid')
    })

    test('that cannot be read for a while keeps its last known keys', async () => {
      const set = await issuer()
      set.keys = [publicJwk(ONE, 'one')]
      const fetch = await way.start({ AUTH_JWKS_URL: set.url, AUTH_RELOAD: '1s' })
      const mine = await signed(ONE, { kid: 'one' })
      const { reader } = await listen(fetch, mine)
      for (const failure of ['a status of 500', 'JSON that is not a set of keys']) {
        set.instead = failures[failure]
        const asked = set.requests
        const seen = () => ({ isAskedAgain: set.requests > asked, ended: reader.ended })
        await expect.poll(seen, { timeout: 1000 + GONE_MS }).toEqual({ isAskedAgain: true, ended: false })
        expect(await answerTo(fetch, mine)).toBe(200)
      }
      await set.close()
      await new Promise((resolve) => setTimeout(resolve, 1500)) // time for one more attempt, which finds no server
      expect(await answerTo(fetch, mine)).toBe(200)
      expect(reader.ended).toBe(false)
      await publish(fetch, mine, 'still here')
      await reader.gets('still here')
    }, 40_000)

    test('that could never be read gives 503 for every token, and a retry to an EventSource', async () => {
      const set = await issuer()
      const port = Number(new URL(set.url).port)
      set.keys = [publicJwk(ONE, 'one')]
      set.instead = failures['a status of 500']
      vi.spyOn(console, 'error').mockImplementation(() => {}) // over app.request() the hub runs in this process and writes its warning here
      const fetch = await way.start({ AUTH_JWKS_URL: set.url })
      const mine = await signed(ONE, { kid: 'one' })
      const expectLater = async (what: string) => {
        for (const path of ['/event?topic=room/1', '/topics']) {
          const response = await fetch(path, { headers: mine })
          expect([what, response.status, await response.json()]).toEqual([
            what,
            503,
            expect.objectContaining({ code: 'keys_unavailable' }),
          ])
          expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
          expect(response.headers.get('www-authenticate')).toBe(null)
        }
        const source = await fetch('/event?topic=room/1', { headers: { ...mine, accept: 'text/event-stream' } })
        expect([what, source.status, await source.text()]).toEqual([
          what,
          200,
          expect.stringMatching(/^event: hub\.ending\ndata: \{\}\nretry: \d+\n\n$/),
        ])
      }
      for (const [what, instead] of Object.entries(failures)) {
        set.instead = instead
        await expectLater(what)
      }
      set.instead = undefined
      await set.close()
      await expectLater('no connection')
      await set.listen(port)
      await expect.poll(() => answerTo(fetch, mine), { timeout: 15_000, interval: 100 }).toBe(200)
    }, 40_000)

    test('is the only source of keys: URLs that a token names are never fetched', async () => {
      const [set, elsewhere] = [await issuer(), await issuer()]
      set.keys = [publicJwk(ONE, 'one')]
      elsewhere.keys = [publicJwk(STRANGE, 'one'), publicJwk(STRANGE, 'strange')]
      const fetch = await way.start({ AUTH_JWKS_URL: set.url })
      const { origin } = new URL(elsewhere.url)
      for (const kid of ['one', 'strange', elsewhere.url, undefined])
        for (const more of [
          {},
          { jku: elsewhere.url },
          { x5u: elsewhere.url },
          { jwk: publicJwk(STRANGE) },
          { jku: elsewhere.url, x5u: elsewhere.url, jwk: publicJwk(STRANGE, 'one'), x5c: ['AAAA'] },
        ]) {
          const mine = await signed(STRANGE, { ...(kid !== undefined && { kid }), ...more }, { iss: origin })
          expect([kid, more, await answerTo(fetch, mine)]).toEqual([kid, more, '401 token_invalid'])
        }
      expect(elsewhere.requests).toBe(0)
      expect(await answerTo(fetch, await signed(ONE, { kid: 'one', jku: elsewhere.url }))).toBe(200)
      expect(elsewhere.requests).toBe(0)
    })
  },
)

/** Ways in which a server fails to serve the set. */
const failures: Readonly<Record<string, (response: ServerResponse) => void>> = {
  'a status of 500': (response) => response.writeHead(500).end('{"keys":[]}'),
  'a redirect': (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
  'a page of HTML': (response) => response.setHeader('content-type', 'text/html').end('<p>Back soon</p>'),
  'JSON that is not a set of keys': (response) =>
    response.setHeader('content-type', 'application/json').end('{"error":"unavailable"}'),
  'a cut connection': (response) => response.destroy(),
}

describe.each(part([withoutServer()], []))('over $name alone, a set of keys at AUTH_JWKS_URL', ({ start: begin }) => {
  test('is read again for a token with an unknown kid, also while no stream is open', async () => {
    const set = await issuer()
    set.keys = [publicJwk(ONE, 'one')]
    const fetch = await begin({ AUTH_JWKS_URL: set.url })
    const byTwo = await signed(TWO, { kid: 'two' })
    expect(await answerTo(fetch, await signed(ONE, { kid: 'one' }))).toBe(200)
    set.keys.push(publicJwk(TWO, 'two'))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 11_000 })
    expect(await answerTo(fetch, byTwo)).toBe(200)
    expect(set.requests).toBe(2)
  })

  test('is not read again for each token with an unknown kid', async () => {
    const set = await issuer()
    set.keys = [publicJwk(ONE, 'one')]
    const fetch = await begin({ AUTH_JWKS_URL: set.url })
    for (let i = 0; i < 50; i++)
      expect(await answerTo(fetch, await signed(STRANGE, { kid: `made up ${i}` }))).toBe('401 token_invalid')
    expect(set.requests).toBeLessThanOrEqual(2)
  })

  test('drops a removed key within AUTH_RELOAD also while no stream is open', async () => {
    const set = await issuer()
    set.keys = [publicJwk(ONE, 'one'), publicJwk(TWO, 'two')]
    const fetch = await begin({ AUTH_JWKS_URL: set.url, AUTH_RELOAD: '1s' })
    const byOne = await signed(ONE, { kid: 'one' })
    expect(await answerTo(fetch, byOne)).toBe(200)
    set.keys.shift()
    await expect
      .poll(() => answerTo(fetch, byOne), { timeout: 1000 + GONE_MS, interval: 100 })
      .toBe('401 token_invalid')
  })

  test.each([
    ['has no kid', undefined, undefined],
    ['has the same kid', 'same', 'same'],
  ])('ends the streams of a key whose replacement %s', async (_, before, after) => {
    const set = await issuer()
    set.keys = [publicJwk(ONE, before)]
    const fetch = await begin({ AUTH_JWKS_URL: set.url, AUTH_RELOAD: '1s' })
    const header = before === undefined ? {} : { kid: before }
    const byOne = await signed(ONE, header)
    const { reader } = await listen(fetch, byOne)
    set.keys = [publicJwk(TWO, after)]
    await expect
      .poll(() => answerTo(fetch, byOne), { timeout: 1000 + GONE_MS, interval: 100 })
      .toBe('401 token_invalid')
    await expectEnd(reader)
  })

  test('ends the streams of tokens without kid once their key is removed, even if other keys remain', async () => {
    const set = await issuer()
    set.keys = [publicJwk(ONE, 'one')]
    const fetch = await begin({ AUTH_JWKS_URL: set.url, AUTH_RELOAD: '1s' })
    const byOne = await signed(ONE, {})
    const { reader } = await listen(fetch, byOne)
    set.keys = [publicJwk(TWO, 'two')]
    await expect
      .poll(() => answerTo(fetch, byOne), { timeout: 1000 + GONE_MS, interval: 100 })
      .toBe('401 token_invalid')
    await expectEnd(reader)
  })
})

describe.each(part(['app.request()'], []))('over %s, reloading keys', () => {
  const hubWith = (settings: Record<string, string>) => {
    const now = { settings }
    const config = parseConfig(settings)
    const hub = new Hub(() => memoryLog(config.logOptions), config.hub)
    const auth = new Auth(hub, config.auth, () => parseConfig(now.settings).auth)
    const app = createApp({ hub, config, auth })
    return { now, auth, fetch: (async (path, init) => app.request(path, init)) satisfies Fetch }
  }

  test('changes nothing and rejects when the settings are wrong', async () => {
    const { now, auth, fetch } = hubWith({ AUTH_SECRET: SECRET })
    const mine = bearer(await token(rooms))
    const { reader } = await listen(fetch, mine)
    now.settings = { AUTH_SECRET: 'short' }
    await expect(auth.reload()).rejects.toMatchObject({ code: 'config_invalid' })
    expect(await answerTo(fetch, mine)).toBe(200)
    expect(reader.ended).toBe(false)
  })

  test('does not restore a key that a later reload has removed, however long the earlier one takes', async () => {
    const set = await issuer()
    set.keys = [publicJwk(ONE, 'one')]
    const both = { AUTH_JWKS_URL: set.url, API_KEYS: `${lineOf('first', 'key-1')} ${lineOf('second', 'key-2')}` }
    const { now, auth, fetch } = hubWith(both)
    expect(await answerTo(fetch, await signed(ONE, { kid: 'one' }))).toBe(200)
    expect(await answerTo(fetch, bearer('key-1'))).toBe(200)
    const { promise: slow, resolve: answer } = Promise.withResolvers<void>()
    set.instead = async (response) => {
      await slow
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: set.keys }))
    }
    const asked = set.requests
    const early = auth.reload()
    await expect.poll(() => set.requests).toBe(asked + 1)
    set.instead = undefined
    now.settings = { ...both, API_KEYS: lineOf('second', 'key-2') }
    const late = auth.reload()
    // The later reload may wait for the earlier one, and still has to win.
    await Promise.race([late, new Promise((resolve) => setTimeout(resolve, 500))])
    answer()
    await Promise.all([early, late])
    expect(await answerTo(fetch, bearer('key-1'))).toBe('401 token_invalid')
    expect(await answerTo(fetch, bearer('key-2'))).toBe(200)
  })

  test('refuses or accepts no token by mistake while keys change', async () => {
    const settings = { AUTH_SECRET: SECRET, API_KEYS: lineOf('first', 'key-1') }
    const { now, auth, fetch } = hubWith(settings)
    const [mine, never] = [bearer(await token(rooms)), bearer(await token(rooms, {}, bytes(OTHER_SECRET)))]
    for (let i = 0; i < 100; i++) {
      now.settings = { ...settings, ...(i % 2 && { API_KEYS: lineOf('second', 'key-2') }) }
      const [answers] = await Promise.all([
        Promise.all([answerTo(fetch, mine), answerTo(fetch, never), answerTo(fetch, mine)]),
        auth.reload(),
      ])
      expect(answers).toEqual([200, '401 token_invalid', 200])
    }
  })
})

describe.each(part([node], [bun, deno]))('a start on $name', (runtime) => {
  const run = (settings: Record<string, string>) => launch({ LOG: 'memory:', PORT: '0', ...settings }, [], runtime)
  /** The exit code, or 'it listens' if the process did not refuse to start. */
  const outcomeOf = ({ stopped, says }: Process) =>
    Promise.race([stopped, says(runtime.listens).then(() => 'it listens')])

  test('without keys beyond loopback is refused, and the error says what to set', async () => {
    const running = run({ HOST: '0.0.0.0' })
    const said = complaints(running)
    expect(await outcomeOf(running)).toBe(1)
    expect(said()).toMatch(/^Cannot start: a setting is wrong\n {2}HOST="0\.0\.0\.0": expected .*OPEN=true.*keys/)
    expect(running.output).not.toMatch(/listens on/)
  })

  test('with OPEN=true prints a warning on stderr, in red if colours are on; with both OPEN=true and keys it is refused', async () => {
    const running = run({ OPEN: 'true', FORCE_COLOR: '1', NO_COLOR: '' })
    const said = complaints(running)
    await running.says(runtime.listens)
    await expect.poll(said).toMatch(/^\u001b\[31mOPEN=true: everybody who can reach this hub .*\u001b\[39m\n$/)
    const plain = run({ OPEN: 'true' })
    const saidPlainly = complaints(plain)
    await expect.poll(saidPlainly).toMatch(/^OPEN=true: everybody who can reach this hub .*\n$/)
    for (const keys of [{ AUTH_SECRET: SECRET }, { API_KEYS: lineOf('first', 'key-1') }] as const) {
      const refused = run({ OPEN: 'true', ...(keys as Record<string, string>) })
      expect(await outcomeOf(refused)).toBe(1)
      expect(refused.output).toMatch(/^Cannot start: a setting is wrong\n {2}OPEN="true": expected false with keys/)
    }
  })

  test('with keys says that the hub is closed, and prints no warning', async () => {
    const server = await start({ LOG: 'memory:', AUTH_SECRET: SECRET, FORCE_COLOR: '1', NO_COLOR: '' }, runtime)
    expect(server.output).toMatch(/^Tidings listens on \S+ \(closed: requires a token or an API key\); .*\n$/)
    expect(await answerTo(fetchOf(server), {})).toBe('401 token_missing')
  })

  const file = (text: string) => {
    const made = join(folder(), 'file')
    writeFileSync(made, text)
    return made
  }
  /** Expects each setting to be refused by its name, without its value. */
  const expectRefusals = async (wrong: readonly (readonly [setting: string, value: string])[]) => {
    const runs = wrong.map(([setting, value]) => ({ setting, running: run({ [setting]: value }) }))
    for (const { setting, running } of runs) {
      const outcome = await outcomeOf(running)
      expect.soft([setting, outcome]).toEqual([setting, 1])
      if (outcome !== 1) continue
      expect.soft(running.output).toMatch(new RegExp(`^Cannot .*\\n?.*${setting.replace('_FILE', '')}`))
      expect.soft(running.output).not.toMatch(/canary|^\s+at /m)
    }
  }

  test('with an unusable secret or unusable API keys is refused without quoting them', () =>
    expectRefusals([
      ['AUTH_SECRET', 'canary-too-short'],
      ['AUTH_SECRET_FILE', file('canary-too-short\n')],
      ['AUTH_SECRET_FILE', '/no/such/file'],
      ['API_KEYS', 'first:canary-not-hashed:a:b'],
      ['API_KEYS_FILE', file(`${lineOf('first', 'key-1')}\nsecond:canary-not-hashed:a:b\n`)],
      ['API_KEYS_FILE', '/no/such/file'],
      ['AUTH_PUBLIC_KEY_FILE', '/no/such/file'],
      ['AUTH_JWKS_URL', 'http://keys.example/jwks'],
    ]))

  test('with a key file that holds no keys is refused, because the hub would be open', () =>
    expectRefusals([
      ['AUTH_SECRET_FILE', file('')],
      ['API_KEYS_FILE', file('# none\n')],
      ['AUTH_PUBLIC_KEY_FILE', file('\n')],
    ]))

  test('with an unusable public key is refused at once, instead of refusing each request later', () =>
    expectRefusals([
      ['AUTH_PUBLIC_KEY', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'],
      ['AUTH_PUBLIC_KEY', '{"kty":"oct","k":"AAAA"}'],
      ['AUTH_PUBLIC_KEY_FILE', file('{"kty":"RSA"')],
    ]))

  test('with a private key or a secret in place of a public key is refused without quoting it', () =>
    expectRefusals([
      ['AUTH_PUBLIC_KEY', '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----'],
      ['AUTH_PUBLIC_KEY_FILE', file('-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----')],
      ['AUTH_PUBLIC_KEY', 'canary, which is a secret'],
    ]))

  test('with a setting and a file for the same setting is refused', async () => {
    const running = run({ AUTH_SECRET: SECRET, AUTH_SECRET_FILE: '/no/such/file' })
    expect(await outcomeOf(running)).toBe(1)
    expect(running.output).toBe('Cannot start: AUTH_SECRET and AUTH_SECRET_FILE are both set; set one\n')
  })
})

test.each(part(['HOST'], []))(
  'with keys %s may be an address beyond loopback; AUTH_JWKS_URL may be http: on loopback only',
  () => {
    for (const keys of [
      { AUTH_SECRET: SECRET },
      { AUTH_PUBLIC_KEY: pem(ONE) },
      { AUTH_JWKS_URL: 'https://keys.example/jwks' },
      { API_KEYS: lineOf('first', 'key-1') },
    ] as Record<string, string>[])
      expect(parseConfig({ HOST: '0.0.0.0', ...keys })).toMatchObject({ host: '0.0.0.0', open: false })
    for (const url of ['http://127.0.0.1:8000/jwks', 'http://localhost/jwks', 'http://[::1]/jwks'])
      expect(parseConfig({ AUTH_JWKS_URL: url }).auth.jwksUrl).toBe(url)
    for (const url of [
      'http://keys.example/',
      'http://127.0.0.1.evil.example/',
      'file:///etc/passwd',
      'ftp://x/',
      'keys',
    ])
      expect(() => parseConfig({ AUTH_JWKS_URL: url }), url).toThrow(/AUTH_JWKS_URL=.*: expected an https: URL/)
  },
)
