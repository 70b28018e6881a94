import { readFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { importJWK, importPKCS8, SignJWT } from 'jose'
import { sha256 } from '../auth/credentials.ts'
import { withoutLineEnd } from '../auth/options.ts'

const help = `Makes a token to try a hub that has keys. In production the login of your site makes them: the hub makes none.

  AUTH_SECRET=… npm run -s token -- --publish 'chat/**' --subscribe 'chat/**' --ttl 1h

  --publish LIST     topics and patterns to allow publishing to, separated by commas
  --subscribe LIST   topics and patterns to allow subscribing to, separated by commas
  --sub NAME         subject: whom the token is for
  --jti NAME         name of the token, by which it can be revoked
  --ttl TIME         lifetime: 90s, 10m, 2h or 1d; 1h if left out
  --issuer TEXT      iss, if the hub requires one (AUTH_ISSUER)
  --audience TEXT    aud, if the hub requires one (AUTH_AUDIENCE)
  --key FILE         sign with this private key (PKCS #8 PEM or JWK), for a hub with AUTH_PUBLIC_KEY, instead of AUTH_SECRET
  --alg NAME         algorithm of that key: RS256, PS256, ES256, ES384, ES512 or EdDSA
  --api-key NAME     make an API key instead, and its line for API_KEYS
`

const names = ['publish', 'subscribe', 'sub', 'jti', 'ttl', 'issuer', 'audience', 'key', 'alg', 'api-key'] as const
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

try {
  const strings = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ options: { ...strings, help: { type: 'boolean' } } })
  const given = values as Partial<Record<(typeof names)[number], string>> & { help?: boolean }
  if (given.help) process.stdout.write(help)
  else if (given['api-key'] !== undefined) await makeApiKey(given['api-key'], given)
  else console.log(await makeToken(given))
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${help}`)
  process.exit(2)
}

type Given = Partial<Record<(typeof names)[number], string>>

async function makeToken({
  publish,
  subscribe,
  sub,
  jti,
  ttl = '1h',
  issuer,
  audience,
  key,
  alg,
}: Given): Promise<string> {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(ttl) ?? []
  if (unit === undefined) throw new Error(`Cannot use ${ttl} as --ttl: expected 90s, 10m, 2h or 1d`)
  const tidings = { publish: listOf(publish), subscribe: listOf(subscribe) }
  const now = Math.floor(Date.now() / 1000)
  const token = new SignJWT({ tidings })
    .setIssuedAt(now)
    .setExpirationTime(now + Number(count) * SECONDS[unit]!)
    .setProtectedHeader({ alg: key === undefined ? 'HS256' : (alg ?? 'RS256') })
  if (sub !== undefined) token.setSubject(sub)
  if (jti !== undefined) token.setJti(jti)
  if (issuer !== undefined) token.setIssuer(issuer)
  if (audience !== undefined) token.setAudience(audience)
  return token.sign(key === undefined ? secret() : await privateKey(key, alg ?? 'RS256'))
}

/** Prints a key for its user, and the line for the hub, which does not reveal the key. */
async function makeApiKey(name: string, { publish, subscribe }: Given): Promise<void> {
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')
  console.log(`key:  ${key}`)
  console.log(`line: ${[name, await sha256(key), listOf(publish), listOf(subscribe)].join(':')}`)
}

function listOf(list: string | undefined): string[] {
  return list?.split(',').filter((name) => name !== '') ?? []
}

function secret(): Uint8Array {
  const { AUTH_SECRET } = process.env
  if (!AUTH_SECRET)
    throw new Error('Cannot sign: set AUTH_SECRET to the secret of the hub, or name a private key with --key')
  return new TextEncoder().encode(withoutLineEnd(AUTH_SECRET)) // as the hub reads it
}

async function privateKey(file: string, alg: string) {
  const text = readFileSync(file, 'utf8')
  return text.trimStart().startsWith('{') ? importJWK(JSON.parse(text), alg) : importPKCS8(text, alg)
}
