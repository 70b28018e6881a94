import { describe, expect, test } from 'vitest'
import { logs } from '../../src/adapters/logs.ts'
import { type Config, parseConfig } from '../../src/config/config.ts'

const REDIS =
  'redis://HOST:PORT/HUB, with the name of a hub, and USER:PASSWORD@ before HOST if the server asks for them'

const logOf = (LOG: string, kinds = logs): Config['log'] => parseConfig({ LOG }, kinds).log

describe('LOG', () => {
  test.each([
    'memory:',
    'sqlite:./data/tidings.db',
    'sqlite:/var/lib/tidings.db',
    'redis://127.0.0.1:6379/hub',
    'rediss://user:password@redis.example:6380/my-hub',
  ])('accepts %s', (url) => {
    expect(logOf(url)).toBe(url)
  })

  test.each([
    ['mysql://x', 'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB'],
    ['data/tidings.db', 'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB'],
    ['constructor:', 'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB'],
    ['memory:x', 'memory:'],
    ['sqlite:', 'sqlite:PATH, with no // before PATH: sqlite:data/tidings.db or sqlite:/var/lib/tidings.db'],
    ['sqlite://x', 'sqlite:PATH, with no // before PATH: sqlite:data/tidings.db or sqlite:/var/lib/tidings.db'],
    ['sqlite:///x', 'sqlite:PATH, with no // before PATH: sqlite:data/tidings.db or sqlite:/var/lib/tidings.db'],
    ['redis:hub', REDIS],
    ['redis://127.0.0.1:6379', REDIS],
    ['redis://127.0.0.1:6379/', REDIS],
  ])('refuses %s: expected %s', (url, expected) => {
    expect(() => logOf(url)).toThrow(new RegExp(`LOG="${url}": expected ${expected}`))
  })

  test('is refused without showing a URL that may hold a password', () => {
    for (const url of ['mysql://user:secret@host/hub', 'redis://user:secret@host', 'redis://user:se/secret@host/hub'])
      expect(() => logOf(url)).toThrow(/^((?!secret).)*$/s)
  })

  test('accepts another kind of log after one more entry in the table of logs', () => {
    const nats = { form: 'nats://HOST:PORT', pattern: /^nats:\/\/[^/]+$/, open: logs.memory!.open }
    expect(logOf('nats://localhost:4222', { ...logs, nats })).toBe('nats://localhost:4222')
    expect(() => logOf('nats:x', { ...logs, nats })).toThrow('LOG="nats:x": expected nats://HOST:PORT')
  })
})
