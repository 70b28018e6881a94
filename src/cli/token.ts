import { readFileSync } from 'node:fs'
import process from 'node:process'
import { importJWK, importPKCS8, SignJWT } from 'jose'
import { withoutLineEnd } from '../auth/options.ts'
import type { Command } from './command.ts'
import { EXIT, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { grantOptions, hubIn, makeApiKey } from './key.ts'
import { print } from './stdout.ts'

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `tidings token`: makes a token as the login of a site would. */
export const token: Command = {
  usage: 'token [FLAG…]',
  about: `Makes a token to try a hub that has keys. In production the login of your site makes them: the hub makes none.`,
  options: {
    ...grantOptions,
    sub: { value: 'NAME', about: 'Subject: whom the token is for' },
    jti: { value: 'NAME', about: 'Name of the token, by which it can be revoked' },
    ttl: { value: 'TIME', about: 'Lifetime: 90s, 10m, 2h or 1d; 1h if left out' },
    issuer: { value: 'TEXT', about: 'iss, if the hub requires one (AUTH_ISSUER)' },
    audience: { value: 'TEXT', about: 'aud, if the hub requires one (AUTH_AUDIENCE)' },
    key: { value: 'FILE', about: 'Sign with this private key (PKCS #8 PEM or JWK) instead of AUTH_SECRET' },
    alg: { value: 'NAME', about: 'Algorithm of that key: RS256, PS256, ES256, ES384, ES512 or EdDSA' },
    'api-key': { value: 'NAME', about: 'Make an API key instead, as tidings key does' },
  },
  operands: [0, 0],
  examples: ["AUTH_SECRET=… tidings token --sub ann --publish 'chat/*' --subscribe 'chat/**' --ttl 1h"],
  async run(given) {
    const name = given.value('api-key')
    if (name === undefined) await print(`${await makeToken(given)}\n`)
    else await makeApiKey(name, given)
    return EXIT.ok
  },
}

async function makeToken(given: Given): Promise<string> {
  const [key, alg, ttl = '1h'] = [given.value('key'), given.value('alg') ?? 'RS256', given.value('ttl')]
  const [, count, unit] = /^(\d+)([smhd])$/.exec(ttl) ?? []
  if (unit === undefined) throw misuse(`Cannot use ${ttl} as --ttl: expected 90s, 10m, 2h or 1d`)
  const hub = hubIn(given)
  const lists = { publish: listOf(given.value('publish')), subscribe: listOf(given.value('subscribe')) }
  const tidings = { ...lists, ...(hub !== undefined && { hub }) }
  const now = Math.floor(Date.now() / 1000)
  const token = new SignJWT({ tidings })
    .setIssuedAt(now)
    .setExpirationTime(now + Number(count) * SECONDS[unit]!)
    .setProtectedHeader({ alg: key === undefined ? 'HS256' : alg })
  const [sub, jti, issuer, audience] = ['sub', 'jti', 'issuer', 'audience'].map((name) => given.value(name))
  if (sub !== undefined) token.setSubject(sub)
  if (jti !== undefined) token.setJti(jti)
  if (issuer !== undefined) token.setIssuer(issuer)
  if (audience !== undefined) token.setAudience(audience)
  return token.sign(key === undefined ? secret() : await privateKey(key, alg))
}

function listOf(list: string | undefined): string[] {
  return list?.split(',').filter((name) => name !== '') ?? []
}

function secret(): Uint8Array {
  const { AUTH_SECRET } = process.env
  if (!AUTH_SECRET)
    throw misuse('Cannot sign: set AUTH_SECRET to the secret of the hub, or name a private key with --key')
  return new TextEncoder().encode(withoutLineEnd(AUTH_SECRET)) // as the hub reads it
}

/** @throws Failure usage */
async function privateKey(file: string, alg: string): Promise<CryptoKey> {
  const text = contentOf(file)
  try {
    const key = text.trimStart().startsWith('{') ? await importJWK(JSON.parse(text), alg) : await importPKCS8(text, alg)
    if ('type' in key && key.type === 'private') return key
  } catch {
    // The errors of the parsers could show parts of the key.
  }
  throw misuse(`Cannot sign with --key ${file}: expected a private key for ${alg}, PKCS #8 PEM or JWK`)
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw misuse(`Cannot sign with --key ${file}: ${(cause as NodeJS.ErrnoException).code}`)
  }
}
