import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { clientOf, parseTrusted } from '../../src/auth/address.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { envOf } from '../../src/routes/connection.ts'

const PROXY = '10.0.0.1'
const trusted = parseTrusted(['10.0.0.0/8', '192.0.2.7', '2001:db8:ffff::/48', '::1'])
const behindProxy = (forwarded: string | undefined) => clientOf(PROXY, forwarded, trusted)

describe('the client of a request', () => {
  test('is the peer when no proxy is trusted, whatever X-Forwarded-For says', () => {
    for (const forwarded of [undefined, '', '203.0.113.1', '10.0.0.9, 203.0.113.1', 'garbage'])
      expect([forwarded, clientOf('198.51.100.4', forwarded, [])]).toEqual([forwarded, '198.51.100.4'])
  })

  test('is the peer when the peer is not one of the trusted proxies', () => {
    for (const peer of ['198.51.100.4', '192.0.2.8', '11.0.0.1'])
      expect(clientOf(peer, '203.0.113.1', trusted)).toBe(peer)
    expect(clientOf('2001:db8:fffe::1', '203.0.113.1', trusted)).toBe('2001:db8:fffe:0::/64')
  })

  test('is unknown when the adapter knows no peer, whatever X-Forwarded-For says', () => {
    expect(clientOf(undefined, '203.0.113.1', trusted)).toBeUndefined()
    expect(clientOf(undefined, undefined, [])).toBeUndefined()
  })

  test('is the address that a trusted proxy forwards', () => {
    expect(behindProxy('203.0.113.1')).toBe('203.0.113.1')
    expect(behindProxy('  203.0.113.1\t')).toBe('203.0.113.1')
    expect(clientOf('192.0.2.7', '203.0.113.1', trusted)).toBe('203.0.113.1')
    expect(clientOf('::1', '203.0.113.1', trusted)).toBe('203.0.113.1')
    expect(clientOf('2001:db8:ffff::9', '203.0.113.1', trusted)).toBe('203.0.113.1')
  })

  test('is the rightmost address that is not a trusted proxy, because anybody may have written the addresses left of it', () => {
    expect(behindProxy('1.1.1.1, 203.0.113.1')).toBe('203.0.113.1')
    expect(behindProxy('1.1.1.1, 10.9.9.9, 203.0.113.1, 10.1.1.1, 192.0.2.7')).toBe('203.0.113.1')
    expect(behindProxy('10.0.0.5, 192.0.2.7, 203.0.113.1')).toBe('203.0.113.1')
    expect(behindProxy('garbage, , %%%, 203.0.113.1')).toBe('203.0.113.1')
  })

  test('is the forwarded address also behind a trusted IPv4 range that is written as IPv6', () => {
    const mapped = parseTrusted(['::ffff:10.0.0.0/104'])
    expect(clientOf(PROXY, '203.0.113.1', mapped)).toBe('203.0.113.1')
    expect(clientOf('::ffff:10.0.0.9', '203.0.113.1', mapped)).toBe('203.0.113.1')
    expect(clientOf('11.0.0.1', '203.0.113.1', mapped)).toBe('11.0.0.1')
  })

  test('is the leftmost address when all are trusted proxies', () => {
    expect(behindProxy('10.3.3.3, 10.2.2.2')).toBe('10.3.3.3')
    expect(behindProxy(undefined)).toBe(PROXY)
    expect(behindProxy('')).toBe(PROXY)
  })

  test('is the proxy that forwarded an invalid address, never an address left of it', () => {
    for (const garbage of [
      'unknown',
      '_hidden',
      '-',
      '999.1.1.1',
      '1.2.3.0400',
      '1.2.3.4.5',
      '7',
      '0x7f.1',
      '203.0.113.1:',
      '[203.0.113.1',
      'localhost',
      '203.0.113.1 1.1.1.1',
      '203.0.113.1;1.1.1.1',
      'for=203.0.113.1',
      '"203.0.113.1"',
      '2001:db8:::1',
      '2001:db8::10000',
      '%eth0',
      '\u0000',
      'x'.repeat(10_000),
    ]) {
      expect([garbage, behindProxy(`1.1.1.1, ${garbage}`)]).toEqual([garbage, PROXY])
      expect([garbage, behindProxy(`1.1.1.1, ${garbage}, 10.2.2.2`)]).toEqual([garbage, '10.2.2.2'])
    }
  })

  test('is the address without its port and brackets', () => {
    for (const [hop, address] of [
      ['203.0.113.1:4711', '203.0.113.1'],
      ['[2001:db8:1:2::3]:4711', '2001:db8:1:2::/64'],
      ['[2001:db8:1:2::3]', '2001:db8:1:2::/64'],
    ] as const)
      expect([hop, behindProxy(`1.1.1.1, ${hop}`)]).toEqual([hop, address])
  })

  test('has one name for every spelling of its address', () => {
    for (const spelling of ['203.0.113.1', '::ffff:203.0.113.1', '::ffff:cb00:7101', '0:0:0:0:0:FFFF:203.0.113.1'])
      expect([spelling, clientOf(spelling, undefined, []), behindProxy(spelling)]).toEqual([
        spelling,
        '203.0.113.1',
        '203.0.113.1',
      ])
    for (const spelling of ['2001:db8:1:2::3', '2001:0DB8:0001:0002:0000:0000:0000:0003', '2001:db8:1:2:0:0:0.0.0.3'])
      expect([spelling, clientOf(spelling, undefined, []), behindProxy(spelling)]).toEqual([
        spelling,
        '2001:db8:1:2::/64',
        '2001:db8:1:2::/64',
      ])
  })

  test('is a whole IPv6 /64, which one customer has, and no larger network', () => {
    const name = (address: string) => clientOf(address, undefined, [])
    expect(name('2001:db8:1:2::1')).toBe(name('2001:db8:1:2:ffff:ffff:ffff:ffff'))
    expect(name('2001:db8:1:2::1')).not.toBe(name('2001:db8:1:3::1'))
    expect(name('2001:db8:1:2::1')).not.toBe(name('2001:db8:12::1'))
    expect(name('203.0.113.1')).not.toBe(name('203.0.113.2'))
    expect(name('::1')).toBe('0:0:0:0::/64')
  })

  test('has no IPv6 zone, not even an invalid one', () => {
    for (const zone of ['%eth0', '%1', '%', '%eth0%eth1', '%25eth0', '% 1.1.1.1'])
      expect([zone, clientOf(`fe80::1${zone}`, undefined, [])]).toEqual([zone, 'fe80:0:0:0::/64'])
    expect(behindProxy('1.1.1.1, 2001:db8:1:2::3%eth0')).toBe('2001:db8:1:2::/64')
  })

  test('is not taken from a proxy whose address only resembles a trusted one', () => {
    // 10.0.0.0/8 is not a range of IPv6, and an IPv6 address with the same last bits is another address.
    for (const peer of ['a00::1', '::a00:1', '64:ff9b::a00:1'])
      expect([peer, clientOf(peer, '203.0.113.1', trusted)]).not.toEqual([peer, '203.0.113.1'])
    expect(clientOf('::ffff:10.0.0.1', '203.0.113.1', trusted)).toBe('203.0.113.1')
  })

  test('is found in a chain of any length', () => {
    const long = Array.from({ length: 20_000 }, () => '10.0.0.2').join(', ')
    expect(behindProxy(`203.0.113.1, ${long}`)).toBe('203.0.113.1')
    expect(behindProxy(','.repeat(100_000))).toBe(PROXY)
  })
})

describe('TRUSTED_PROXIES', () => {
  test('accepts addresses and CIDR ranges, and nothing else', () => {
    const parsed = parseConfig({ TRUSTED_PROXIES: '10.0.0.0/8, 192.0.2.7,2001:db8::/32 , ::1' })
    expect(parsed.clients.trustedProxies).toEqual(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'])
    const short = ['10/8', '10', '192.168/16', '10.1/16', '0x0a.0.0.0/8', '010.0.0.1', '167772160/8', '10.0.0.0/8/8']
    for (const bad of [
      ...short,
      'proxy.example',
      '10.0.0.0/33',
      '2001:db8::/129',
      '10.0.0.0/-1',
      '10.0.0.0/',
      '*',
      '10.0.0.1,',
    ])
      expect(() => parseConfig({ TRUSTED_PROXIES: bad }), bad).toThrow(
        /TRUSTED_PROXIES=.*addresses or CIDR ranges like 10\.0\.0\.0\/8/,
      )
  })
})

describe('PUBLISH_RATE', () => {
  const hubWith = (settings: Record<string, string>) => {
    const config = parseConfig({ PUBLISH_RATE: '2', ...settings })
    const app = createApp({ hub: new Hub(() => memoryLog(config.logOptions), config.hub), config })
    return async (peer: string | undefined, forwarded?: string) => {
      const headers = { ...(forwarded !== undefined && { 'x-forwarded-for': forwarded }) }
      const init = { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain', ...headers } }
      const response = await app.request('/send?topic=a', init, envOf(peer === undefined ? {} : { address: peer }))
      const { code } = (await response.json()) as { code?: string }
      if (response.status === 429) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
      return code ?? response.status
    }
  }
  /** Sends up to 100 messages, in turn as each `[peer, X-Forwarded-For]`. Resolves with the number accepted before the first refusal. */
  const exhaust = async (send: ReturnType<typeof hubWith>, from: readonly (readonly [string, string?])[]) => {
    for (let i = 0; i < 100; i++)
      if ((await send(...(from[i % from.length] as [string, string?]))) === 'rate_limited') return i
    return Number.POSITIVE_INFINITY
  }

  test('counts each client behind a trusted proxy separately, whatever address the client itself adds', async () => {
    const send = hubWith({ TRUSTED_PROXIES: '10.0.0.0/8' })
    const spoofing = Array.from({ length: 100 }, (_, i) => ['10.0.0.1', `1.1.1.${i}, 203.0.113.1`] as const)
    expect(await exhaust(send, spoofing)).toBeGreaterThanOrEqual(2)
    expect(await exhaust(send, spoofing)).toBeLessThan(100)
    expect(await send('10.0.0.1', '203.0.113.2')).toBe(200)
    expect(await send('10.0.0.2', '10.0.0.3, 203.0.113.3, 10.0.0.4')).toBe(200)
    expect(await exhaust(send, [['10.0.0.9', '203.0.113.1']])).toBeLessThan(100)
  })

  test('ignores X-Forwarded-For from a peer that is not a trusted proxy', async () => {
    for (const settings of [{ TRUSTED_PROXIES: '10.0.0.0/8' }, {}] as const) {
      const send = hubWith(settings)
      const spoofing = Array.from({ length: 100 }, (_, i) => ['198.51.100.4', `203.0.113.${i}`] as const)
      expect(await exhaust(send, spoofing)).toBeLessThan(100)
      expect(await send('198.51.100.5')).toBe(200)
    }
  })

  test('counts all addresses of an IPv6 /64 as one, and all spellings of an IPv4 address', async () => {
    const send = hubWith({})
    const customer = Array.from({ length: 100 }, (_, i) => [`2001:db8:1:2::${i.toString(16)}`] as const)
    expect(await exhaust(send, customer)).toBeLessThan(100)
    expect(await send('2001:db8:1:3::1')).toBe(200)
    expect(await exhaust(send, [['203.0.113.1'], ['::ffff:203.0.113.1'], ['::ffff:cb00:7101']])).toBeLessThan(100)
    expect(await send('203.0.113.2')).toBe(200)
  })

  test('saves no more than the messages of a second for a client that was idle for an hour', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const send = hubWith({})
    expect(await exhaust(send, [['203.0.113.1']])).toBe(2)
    vi.advanceTimersByTime(3_600_000)
    expect(await exhaust(send, [['203.0.113.1']])).toBe(2)
  })

  test('does not apply when the adapter knows no address', async () => {
    expect(await exhaust(hubWith({}), [[undefined as never, '203.0.113.1']])).toBe(Number.POSITIVE_INFINITY)
  })
})
