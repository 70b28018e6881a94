import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { logs } from '../src/adapters/logs.ts'
import { defaultAuthOptions } from '../src/auth/options.ts'
import { parseConfig } from '../src/config/config.ts'
import { isLoopback } from '../src/config/loopback.ts'
import { settings } from '../src/config/settings.ts'
import { parseWorkerConfig } from '../src/config/worker.ts'
import { defaultHubOptions } from '../src/hub/options.ts'
import { defaultLogOptions } from '../src/log/log.ts'

describe('the configuration', () => {
  test('has the documented defaults, which are the defaults of the hub and the log', () => {
    expect(parseConfig()).toEqual({
      port: 3000,
      host: '127.0.0.1',
      keepAliveMs: 75_000,
      log: 'sqlite:./data/tidings.db',
      open: false,
      body: { maxBodyBytes: 65_536, bodyTimeoutMs: 30_000 },
      maxBatch: 1000,
      stream: { maxStreamItems: 1_000_000, streamIdleMs: 60_000, maxStreamMs: 3_600_000 },
      streamedBodies: { max: 1000, maxPerToken: 100 },
      clients: {},
      auth: defaultAuthOptions,
      corsOrigins: [],
      corsHeaders: [],
      requestLog: 'refused',
      carrier: 'native',
      warmUp: true,
      heapWatermark: 0.85,
      hub: defaultHubOptions,
      logOptions: defaultLogOptions,
    })
  })

  test('treats an empty variable as missing', () => {
    expect(parseConfig({ PORT: '', LOG: '' })).toEqual(parseConfig())
  })

  test('keeps less in memory than on a disk by default', () => {
    expect(parseConfig({ LOG: 'memory:' }).logOptions.retention).toEqual({ count: 100_000, bytes: 64 * 1024 ** 2 })
    expect(parseConfig({ LOG: 'memory:', RETENTION_COUNT: '5' }).logOptions.retention.count).toBe(5)
    expect(parseConfig({ NEW_EPOCH: 'restored on Monday' }).logOptions.newEpoch).toBe('restored on Monday')
  })

  test('limits each client under OPEN=true by default', () => {
    expect(parseConfig({ OPEN: 'true' }).clients).toEqual({ maxReadersPerAddress: 1000, publishRate: 1000 })
    expect(parseConfig({ OPEN: 'true', PUBLISH_RATE: 'none', MAX_READERS_PER_ADDRESS: '5' }).clients).toEqual({
      maxReadersPerAddress: 5,
    })
    expect(parseConfig({ OPEN: 'true' }).streamedBodies).toEqual({ max: 1000, maxPerToken: 100, maxPerAddress: 100 })
    expect(parseConfig({ PUBLISH_RATE: '7' }).clients).toEqual({ publishRate: 7 })
  })

  test('reads times and sizes with their units', () => {
    const { hub, logOptions } = parseConfig({
      HEARTBEAT: '500ms',
      LIFETIME: '2h',
      STALL: '1m',
      RETRY: '1000',
      RETENTION_AGE: '7d',
      MAX_EVENT_BYTES: '2KiB',
      WINDOW_BYTES: '1MiB',
      TOPIC_RETENTION_COUNT: '9',
    })
    expect(hub).toMatchObject({
      heartbeatMs: 500,
      lifetimeMs: 7_200_000,
      stallMs: 60_000,
      retryMs: 1000,
      maxEventBytes: 2048,
      windowBytes: 1_048_576,
    })
    expect(logOptions.retention).toMatchObject({ ageMs: 604_800_000, topicCount: 9 })
  })

  test('has other defaults on Workers, for the memory and the processor time of an object', () => {
    const config = parseWorkerConfig({})
    expect(config.hub).toMatchObject({ maxReaders: 10_000, maxReplays: 200, maxEventBytes: 63 * 1024 })
    expect(config.logOptions.maxPendingBytes).toBe(16 * 1024 ** 2)
    expect(config.streamedBodies.max).toBe(50)
    expect(config.stream.maxStreamItems).toBe(100_000)
    expect(parseWorkerConfig({ MAX_READERS: '5', MAX_REPLAYS: '' }).hub).toMatchObject({
      maxReaders: 5,
      maxReplays: 200,
    })
  })

  test('refuses on Workers an event that is longer than a row of an object', () => {
    expect(parseWorkerConfig({ MAX_EVENT_BYTES: '1900000' }).hub.maxEventBytes).toBe(1_900_000)
    expect(() => parseWorkerConfig({ MAX_EVENT_BYTES: '2MiB' })).toThrow(
      'MAX_EVENT_BYTES: expected at most 1900000 bytes, because an object stores an event in a row of at most 2 MB',
    )
  })

  test('reads the settings that only a Worker has, and API keys that name their hub', () => {
    expect(parseWorkerConfig({}).hubs).toEqual({ name: 'main' })
    const given = { HUB: 'acme.example', HUB_FROM: 'host', JURISDICTION: 'eu', LOCATION_HINT: 'weur' }
    const hubs = { name: 'acme.example', from: 'host', jurisdiction: 'eu', locationHint: 'weur' }
    expect(parseWorkerConfig(given).hubs).toEqual(hubs)
    for (const wrong of [{ HUB: 'a b' }, { HUB_FROM: 'cookie' }, { JURISDICTION: 'E U' }, { LOCATION_HINT: '?' }])
      expect(() => parseWorkerConfig(wrong)).toThrow(`${Object.keys(wrong)[0]}="${Object.values(wrong)[0]}": expected `)
    const key = `one:${'0f'.repeat(32)}:a:b`
    expect(parseConfig({ API_KEYS: key }).auth.apiKeys[0]).not.toHaveProperty('hub')
    expect(parseConfig({ API_KEYS: `${key}:acme` }).auth.apiKeys[0]).toMatchObject({ subscribe: ['b'], hub: 'acme' })
    expect(() => parseConfig({ API_KEYS: `${key}:Not a hub` })).toThrow('API_KEYS: expected lines of')
  })

  test('lists every mistake at once, with what was expected', () => {
    const parse = () =>
      parseConfig(
        {
          PORT: '99999',
          LOG: 'mysql://x',
          HEARTBEAT: '15 seconds',
          OPEN: 'yes',
          RETENTION_AGE: 'old',
          HOST: '127.0.0.1',
        },
        logs,
      )
    expect(parse).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(parse).toThrow(/^Cannot start: 5 settings are wrong\n/)
    for (const line of [
      'PORT="99999": expected a whole number from 0 to 65535',
      'LOG="mysql://x": expected memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB',
      'OPEN="yes": expected true or false',
      'RETENTION_AGE="old": expected none, or a time like 500ms, 15s, 10m, 2h or 7d',
      'HEARTBEAT="15 seconds": expected a time like 500ms, 15s, 10m, 2h or 7d',
    ])
      expect(parse).toThrow(line)
  })

  test('lists mistakes in the settings that only a Worker has beside the others', () => {
    const parse = () =>
      parseWorkerConfig({ OPEN: 'yes', HUB: 'a b', HUB_FROM: 'cookie', JURISDICTION: 'EU', MAX_EVENT_BYTES: '2MiB' })
    expect(parse).toThrow(/^Cannot start: 5 settings are wrong\n/)
    for (const line of [
      'OPEN="yes": ',
      'HUB="a b": ',
      'HUB_FROM="cookie": ',
      'JURISDICTION="EU": ',
      'MAX_EVENT_BYTES: ',
    ])
      expect(parse).toThrow(`\n  ${line}expected `)
  })

  test('reads secrets, like files, without the line ends and the byte order mark that shells and editors add', () => {
    const secret = ' a secret of more than 32 bytes, which begins and ends with a space '
    const line = `script:${'0f'.repeat(32)}:news/*:`
    const pem = '-----BEGIN PUBLIC KEY-----\nMCowBQ==\n-----END PUBLIC KEY-----'
    for (const [before, after] of [
      ['', '\n'],
      ['', '\r\n'],
      ['\ufeff', ''],
      ['\ufeff', '\r\n\r\n'],
      ['', '\n\ufeff'],
    ] as const) {
      const around = (text: string) => before + text + after
      const { auth, log } = parseConfig({
        AUTH_SECRET: around(secret),
        AUTH_PUBLIC_KEY: around(pem),
        API_KEYS: around(line),
        LOG: around('redis://:password@redis:6379/hub'),
      })
      expect([auth.secret, auth.publicKey, log]).toEqual([secret, pem, 'redis://:password@redis:6379/hub'])
      expect(auth.apiKeys).toEqual(parseConfig({ API_KEYS: line }).auth.apiKeys)
    }
  })

  test('rejects a secret or a key that is only whitespace or a byte order mark: treated as missing it would make an open hub', () => {
    for (const name of ['AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'API_KEYS'])
      for (const text of ['\n', '\ufeff', ' '])
        expect(() => parseConfig({ [name]: text }), name).toThrow(`${name}: expected`)
  })

  test('rejects a KEY_AGE and a KEY_COUNT with which a ticket could be used twice', () => {
    expect(() => parseConfig({ KEY_AGE: '60s' })).toThrow(/KEY_AGE/)
    expect(() => parseConfig({ KEY_COUNT: '9999' })).toThrow(/KEY_COUNT/)
  })

  test('refuses to listen beyond loopback without OPEN=true', () => {
    expect(() => parseConfig({ HOST: '0.0.0.0' })).toThrow(
      'HOST="0.0.0.0": expected a loopback address (127.0.0.1, ::1, localhost), or OPEN=true',
    )
    expect(() => parseConfig({ HOST: '::' })).toThrow('HOST="::": expected a loopback address')
    expect(parseConfig({ HOST: '::', AUTH_SECRET: 'x'.repeat(32) }).host).toBe('::')
    expect(parseConfig({ HOST: '0.0.0.0', OPEN: 'true' })).toMatchObject({ host: '0.0.0.0', open: true })
  })

  test('knows which hosts are loopback', () => {
    for (const host of ['localhost', 'LOCALHOST', 'app.localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]'])
      expect([host, isLoopback(host)]).toEqual([host, true])
    for (const host of [
      '',
      '0.0.0.0',
      '::',
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
      'xlocalhost',
    ])
      expect([host, isLoopback(host)]).toEqual([host, false])
  })

  test('is documented in its guide: a table of all settings with their defaults, in this order', () => {
    const guide = readFileSync(new URL('../src/README.md', import.meta.url), 'utf8')
    const [table] = /^\| `PORT` .*?\n\n/ms.exec(guide) ?? []
    const rows = Object.entries(settings).map(
      ([name, { defaultText, description }]) => `| \`${name}\` | \`${defaultText}\` | ${description} |`,
    )
    expect(table).toBe(`${rows.join('\n')}\n\n`)
  })
})
