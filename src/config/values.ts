import * as v from 'valibot'
import { parseTrusted } from '../auth/address.ts'
import type { ApiKey } from '../auth/options.ts'
import { Filter } from '../topic.ts'
import { isLoopback } from './loopback.ts'

export const KIB = 1024
export const MIB = KIB * KIB
export const DAY_MS = 24 * 3_600_000

export function text(pattern: RegExp, expected: string) {
  return v.pipe(v.string(), v.regex(pattern, expected))
}

/** How the URLs of one kind of log look. */
export interface LogUrl {
  /** As documentation writes it, with capitals for what varies: `sqlite:PATH`. */
  readonly form: string
  /** What a URL must match. */
  readonly pattern: RegExp
  /** Helps with a URL of this scheme that does not match. */
  readonly hint?: string
}

/** Kinds of logs by the scheme of their URLs. */
export type LogUrls = Readonly<Record<string, LogUrl>>

/** A URL of one of these logs; any text if there are none, because then nobody here opens it. */
export function logUrl(logs?: LogUrls) {
  const kindOf = (url: string) => (logs && Object.hasOwn(logs, schemeOf(url)) ? logs[schemeOf(url)] : undefined)
  return v.pipe(
    v.string(),
    v.check(
      (url) => !logs || kindOf(url)?.pattern.test(url) === true,
      ({ input }) => {
        const kind = kindOf(input)
        if (kind) return kind.form + (kind.hint ? `, ${kind.hint}` : '')
        return oneOf(Object.values(logs ?? {}).map(({ form }) => form))
      },
    ),
  )
}

/** The scheme of a URL, which may be none that `URL` can parse. */
export function schemeOf(url: string): string {
  return url.slice(0, url.indexOf(':'))
}

function oneOf(forms: readonly string[]): string {
  return [forms.slice(0, -1).join(', '), forms.at(-1)].join(' or ')
}

export function optionalText(isGood: (given: string) => boolean, expected: string) {
  return v.union([absent(), v.pipe(v.string(), v.check(isGood, expected))], expected)
}

function absent() {
  return v.pipe(
    v.literal('none'),
    v.transform(() => undefined),
  )
}

export function isLong(secret: string): boolean {
  return new TextEncoder().encode(secret).byteLength >= 32
}

export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

export function origins() {
  const expected = 'origins like https://app.example, with commas between them, never * or null'
  const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text && !/[*]|^null$/.test(text)
  return list(isOrigin, expected)
}

export function proxies() {
  const isRange = (text: string) => {
    try {
      return parseTrusted([text]).length === 1
    } catch {
      return false
    }
  }
  return list(isRange, 'addresses or CIDR ranges like 10.0.0.0/8, with commas between them')
}

function list(isGood: (text: string) => boolean, expected: string) {
  const parts = (given: string) => given.split(',').map((part) => part.trim())
  return v.union(
    [
      absent(),
      v.pipe(
        v.string(),
        v.check((given) => parts(given).every(isGood), expected),
        v.transform(parts),
      ),
    ],
    expected,
  )
}

export function patterns() {
  const expected = 'topics and patterns with commas between them'
  return v.pipe(
    v.string(),
    v.check((given) => given === 'none' || areNames(given), expected),
    v.transform(namesOf),
  )
}

function namesOf(list: string): string[] {
  return list === 'none' ? [] : list.split(',').filter((name) => name !== '')
}

function areNames(list: string): boolean {
  try {
    for (const name of namesOf(list)) Filter.parse([name])
    return true
  } catch {
    return false
  }
}

export function apiKeys() {
  const expected =
    'lines of name:sha256:publish:subscribe: a name of letters, digits and . _ -, 64 hex digits, and twice topics and patterns without : and with commas between them'
  return v.pipe(
    v.string(),
    v.check((given) => given === 'none' || linesOf(given).every(isApiKey), expected),
    v.transform((given): readonly ApiKey[] => (given === 'none' ? [] : linesOf(given).map(apiKeyOf))),
  )
}

function linesOf(keys: string): string[] {
  return keys.split(/\s+/).filter((line) => line !== '')
}

function isApiKey(line: string): boolean {
  const [name = '', hash = '', publish = '', subscribe = '', ...more] = line.split(':')
  return (
    /^[\w.-]{1,100}$/.test(name) &&
    /^[0-9a-f]{64}$/i.test(hash) &&
    areNames(publish) &&
    areNames(subscribe) &&
    more.length === 0
  )
}

function apiKeyOf(line: string): ApiKey {
  const [name, hash, publish, subscribe = ''] = line.split(':') as [string, string, string, string?]
  return { name, sha256: hash.toLowerCase(), publish: namesOf(publish), subscribe: namesOf(subscribe) }
}

export function yesOrNo() {
  return v.pipe(
    v.string(),
    v.regex(/^(true|false)$/, 'true or false'),
    v.transform((given) => given === 'true'),
  )
}

export function whole(min: number, max = Number.MAX_SAFE_INTEGER) {
  return measure(`a whole number ${between(min, max, String)}`, { '': 1 }, min, max)
}

export function bytes(min: number, max = Number.MAX_SAFE_INTEGER) {
  const units = { '': 1, KiB: KIB, MiB: MIB, GiB: KIB * MIB }
  return measure(`a size like 64KiB, 16MiB or 1GiB, ${between(min, max, (n) => `${n}`)} bytes`, units, min, max)
}

export function duration(min: number, max = Number.MAX_SAFE_INTEGER) {
  const units = { '': 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS }
  return measure(`a time like 500ms, 15s, 10m, 2h or 7d, ${between(min, max, (n) => `${n}`)} ms`, units, min, max)
}

function measure(expected: string, units: Readonly<Record<string, number>>, min: number, max: number) {
  return v.pipe(
    v.string(),
    v.regex(new RegExp(`^\\d{1,16}(${Object.keys(units).join('|')})$`), expected),
    v.transform((given) => Number.parseInt(given, 10) * units[given.replace(/^\d+/, '')]!),
    v.minValue(min, expected),
    v.maxValue(max, expected),
  )
}

export function optional<Schema extends v.GenericSchema<string, number>>(schema: Schema) {
  return v.union(
    [
      v.pipe(
        v.literal('none'),
        v.transform(() => undefined),
      ),
      schema,
    ],
    (issue) => `none, or ${(issue as { issues?: { message: string }[] }).issues?.at(-1)?.message ?? 'a number'}`,
  )
}

function between(min: number, max: number, say: (n: number) => string): string {
  return max === Number.MAX_SAFE_INTEGER ? `of at least ${say(min)}` : `from ${say(min)} to ${say(max)}`
}
