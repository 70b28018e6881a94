import * as v from 'valibot'
import { parseTrusted } from '../auth/address.ts'
import type { ApiKey } from '../auth/options.ts'
import { Filter } from '../topic.ts'
import { isLoopback } from './loopback.ts'

// Schemas that parse the text of a setting. The message of each schema says what it expects. The text `none` means no value.

export const KIB = 1024
export const MIB = KIB * KIB
export const DAY_MS = 24 * 3_600_000

export function text(pattern: RegExp, expected: string) {
  return v.pipe(v.string(), v.regex(pattern, expected))
}

/** The form of the URLs of one kind of log. */
export interface LogUrl {
  /** The URL as documentation writes it, with capitals for the variable parts: `sqlite:PATH`. */
  readonly form: string
  /** Matches the valid URLs. */
  readonly pattern: RegExp
  /** Added to the error for a URL of this scheme that does not match. */
  readonly hint?: string
}

/** Kinds of logs by the scheme of their URLs. */
export type LogUrls = Readonly<Record<string, LogUrl>>

/** Accepts a URL of one of these logs. If `logs` is left out, accepts any text, because the caller does not open a log by URL. */
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

/** Returns the scheme of a URL, even if `URL` cannot parse the rest. */
export function schemeOf(url: string): string {
  return url.slice(0, url.indexOf(':'))
}

function oneOf(forms: readonly string[]): string {
  return [forms.slice(0, -1).join(', '), forms.at(-1)].join(' or ')
}

export function optionalText(isValid: (text: string) => boolean, expected: string) {
  return v.union([none(), v.pipe(v.string(), v.check(isValid, expected))], expected)
}

function none() {
  return v.pipe(
    v.literal('none'),
    v.transform(() => undefined),
  )
}

/** Whether a secret has the length that HS256 requires (RFC 7518, 3.2). */
export function isLongSecret(secret: string): boolean {
  return new TextEncoder().encode(secret).byteLength >= 32
}

/** Whether nobody on the network can change what the URL returns. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

/** Accepts the origins of pages, and of apps whose pages have a scheme of their own: `capacitor://localhost`, `chrome-extension://<id>`. */
export function origins() {
  return list(
    isOrigin,
    'origins like https://app.example or capacitor://localhost, separated by commas, never * or null',
  )
}

/** Whether a browser or an app's web view can send this text as `Origin`. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text) || text.includes('*')) return false
  const { protocol, origin } = new URL(text)
  // `URL` knows the origins of the web's own schemes only; those of all others are `null`.
  if (/^https?:$/.test(protocol)) return origin === text
  return origin === 'null' && /^(?!file:)[a-z][a-z\d+.-]*:\/\/[a-z\d._-]+(:\d+)?$/.test(text)
}

export function headers() {
  const isName = (text: string) => /^[!#$%&'+.^`|~\w-]+$/.test(text)
  return list(isName, 'names of headers like X-Request-Id, separated by commas, never *')
}

export function proxies() {
  const isRange = (text: string) => {
    try {
      return parseTrusted([text]).length === 1
    } catch {
      return false
    }
  }
  return list(isRange, 'addresses or CIDR ranges like 10.0.0.0/8, separated by commas')
}

function list(isValid: (item: string) => boolean, expected: string) {
  const itemsOf = (text: string) => text.split(',').map((item) => item.trim())
  return v.union(
    [
      none(),
      v.pipe(
        v.string(),
        v.check((text) => itemsOf(text).every(isValid), expected),
        v.transform(itemsOf),
      ),
    ],
    expected,
  )
}

export function patterns() {
  return v.pipe(v.string(), v.check(arePatterns, 'topics and patterns, separated by commas'), v.transform(patternsOf))
}

function patternsOf(text: string): string[] {
  return text === 'none' ? [] : text.split(',').filter((pattern) => pattern !== '')
}

function arePatterns(text: string): boolean {
  try {
    for (const pattern of patternsOf(text)) Filter.parse([pattern])
    return true
  } catch {
    return false
  }
}

/** The names of hubs that share a deployment. Hosts are such names. */
export const HUB_NAME = /^[a-z\d]([a-z\d.-]{0,251}[a-z\d])?$/

export function apiKeys() {
  const expected =
    'lines of name:sha256:publish:subscribe: a name of letters, digits and . _ -, a hash of 64 hex digits, and two lists of topics and patterns (without :), separated by commas; then :hub, if several hubs share their keys'
  return v.pipe(
    v.string(),
    v.check((text) => text === 'none' || areApiKeys(linesOf(text)), expected),
    v.transform((text): readonly ApiKey[] => (text === 'none' ? [] : linesOf(text).map(apiKeyOf))),
  )
}

function linesOf(text: string): string[] {
  return text.split(/\s+/).filter((line) => line !== '')
}

/** Rejects an empty list, which would make an open hub. */
function areApiKeys(lines: readonly string[]): boolean {
  return lines.length > 0 && lines.every(isApiKey)
}

function isApiKey(line: string): boolean {
  const [name = '', hash = '', publish = '', subscribe = '', hub, ...more] = line.split(':')
  return (
    /^[\w.-]{1,100}$/.test(name) &&
    /^[0-9a-f]{64}$/i.test(hash) &&
    arePatterns(publish) &&
    arePatterns(subscribe) &&
    (hub === undefined || HUB_NAME.test(hub)) &&
    more.length === 0
  )
}

function apiKeyOf(line: string): ApiKey {
  const [name, hash, publish, subscribe = '', hub] = line.split(':') as [string, string, string, string?, string?]
  return {
    ...{ name, sha256: hash.toLowerCase(), publish: patternsOf(publish), subscribe: patternsOf(subscribe) },
    ...(hub !== undefined && { hub }),
  }
}

export function boolean() {
  return v.pipe(
    v.string(),
    v.regex(/^(true|false)$/, 'true or false'),
    v.transform((text) => text === 'true'),
  )
}

export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  return quantity(`a whole number ${rangeOf(min, max, '')}`, { '': 1 }, min, max)
}

export function bytes(min: number, max = Number.MAX_SAFE_INTEGER) {
  const units = { '': 1, KiB: KIB, MiB: MIB, GiB: KIB * MIB }
  return quantity(`a size like 64KiB, 16MiB or 1GiB, ${rangeOf(min, max, ' bytes')}`, units, min, max)
}

export function duration(min: number, max = Number.MAX_SAFE_INTEGER) {
  const units = { '': 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS }
  return quantity(`a time like 500ms, 15s, 10m, 2h or 7d, ${rangeOf(min, max, ' ms')}`, units, min, max)
}

/** @param units the factor of each unit that may follow the number */
function quantity(expected: string, units: Readonly<Record<string, number>>, min: number, max: number) {
  return v.pipe(
    v.string(),
    v.regex(new RegExp(`^\\d{1,16}(${Object.keys(units).join('|')})$`), expected),
    v.transform((text) => Number.parseInt(text, 10) * units[text.replace(/^\d+/, '')]!),
    v.minValue(min, expected),
    v.maxValue(max, expected),
  )
}

export function optional<Schema extends v.GenericSchema<string, number>>(schema: Schema) {
  return v.union(
    [none(), schema],
    (issue) => `none, or ${(issue as { issues?: { message: string }[] }).issues?.at(-1)?.message ?? 'a number'}`,
  )
}

function rangeOf(min: number, max: number, unit: string): string {
  return max === Number.MAX_SAFE_INTEGER ? `of at least ${min}${unit}` : `from ${min} to ${max}${unit}`
}
