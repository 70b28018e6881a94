import { describe, expect, test } from 'vitest'
import { logs } from '../../src/adapters/logs.ts'
import { type Config, parseConfig } from '../../src/config/config.ts'

const logOf = (LOG: string, kinds = logs): Config['log'] => parseConfig({ LOG }, kinds).log

describe('LOG', () => {
  test.each([
    'memory:',
    'sqlite:./data/tidings.db',
    'sqlite:/var/lib/tidings.db',
    'redis://127.0.0.1:6379/hub',
    'rediss://user:password@redis.example:6380/my-hub',
  ])('takes %s', (url) => {
    expect(logOf(url)).toBe(url)
  })

  test.each([
    ['mysql://x', 'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB'],
    ['data/tidings.db', 'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB'],
    ['constructor:', 'memory:, sqlite:PATH, redis://HOST:PORT/HUB or rediss://HOST:PORT/HUB'],
    ['memory:x', 'memory:'],
    ['sqlite:', 'sqlite:PATH'],
    ['redis:hub', 'redis://HOST:PORT/HUB, with USER:PASSWORD@ before HOST if the server asks for them'],
  ])('refuses %s: expected %s', (url, expected) => {
    expect(() => logOf(url)).toThrow(new RegExp(`LOG="${url}": expected ${expected}`))
  })

  test('does not show a URL that may hold a password', () => {
    expect(() => logOf('redis://user:pass#word@host')).not.toThrow() // whoever opens it refuses it, and shows nothing either
    expect(() => logOf('mysql://user:secret@host/hub')).toThrow(/^((?!secret).)*$/s)
  })

  test('takes another kind of log with one more entry in the table', () => {
    const nats = { form: 'nats://HOST:PORT', pattern: /^nats:\/\/[^/]+$/, open: logs.memory!.open }
    expect(logOf('nats://localhost:4222', { ...logs, nats })).toBe('nats://localhost:4222')
    expect(() => logOf('nats:x', { ...logs, nats })).toThrow('LOG="nats:x": expected nats://HOST:PORT')
  })
})
