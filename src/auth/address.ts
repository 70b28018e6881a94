import { parseIp, stringifyIp } from 'ip-bigint'

/** An address as a number. An IPv4-mapped address of IPv6 (`::ffff:10.0.0.1`) is its IPv4 address. */
interface Address {
  readonly version: 4 | 6
  readonly number: bigint
}

/** The addresses that begin with the same bits. */
interface Range extends Address {
  readonly bits: number
}

/** The proxies whose `X-Forwarded-For` is believed, as parsed addresses and CIDR ranges. */
export type Trusted = readonly Range[]

const BITS = { 4: 32, 6: 128 } as const
/** What an IPv4-mapped address has before its last 32 bits (RFC 4291, 2.5.5.2). */
const MAPPED = 0xffffn
const MAPPED_BITS = 96

/** @throws if an element is neither an address nor a CIDR range */
export function parseTrusted(list: readonly string[]): Trusted {
  return list.map((text) => {
    const [, name = text, length] = /^(.*)\/(\d{1,3})$/.exec(text) ?? []
    const range = parseIp(name)
    const bits = Number(length ?? BITS[range.version])
    if (range.scopeid !== undefined || bits > BITS[range.version])
      throw new Error(`Cannot use ${text} as an address or a CIDR range`)
    return bits >= MAPPED_BITS ? unmapped({ ...range, bits }) : { ...range, bits }
  })
}

/**
 * Returns the address of a request's client. This is the peer or, if the peer is a trusted proxy, the rightmost address of
 * `X-Forwarded-For` that is not a trusted proxy: clients can forge every address to the left. All spellings of an address give the same
 * result. All addresses of an IPv6 /64, the usual network of one customer, give the same result too.
 */
export function clientOf(
  peer: string | undefined,
  forwarded: string | undefined,
  trusted: Trusted,
): string | undefined {
  if (peer === undefined) return
  const hops = [...(forwarded?.split(',') ?? []).map((hop) => hop.trim()), peer]
  let client = parse(peer)
  while (client && isTrusted(client, trusted)) {
    hops.pop()
    const next = parse(hops.at(-1))
    if (!next) break
    client = next
  }
  return client ? nameOf(client) : peer
}

/** Whether the peer of a connection is a trusted proxy. */
export function isTrustedPeer(peer: string | undefined, trusted: Trusted): boolean {
  const address = trusted.length === 0 ? undefined : parse(peer)
  return address !== undefined && isTrusted(address, trusted)
}

/** Parses an address. Some proxies add brackets or a port, which are ignored, as zones are. */
function parse(text: string | undefined): Address | undefined {
  if (text === undefined) return
  const [, inBrackets, beforePort] = /^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/.exec(text) ?? []
  const bare = (inBrackets ?? beforePort ?? text).replace(/%.*$/, '')
  try {
    const { version, number } = parseIp(bare)
    return unmapped({ version, number, bits: BITS[version] })
  } catch {
    return // not an address
  }
}

/** Converts an IPv4-mapped address, or a range of them (`::ffff:10.0.0.0/104`), to IPv4. */
function unmapped(range: Range): Range {
  const { version, number, bits } = range
  if (version === 4 || number >> 32n !== MAPPED) return range
  return { version: 4, number: number & 0xffff_ffffn, bits: bits - MAPPED_BITS }
}

function isTrusted(address: Address, trusted: Trusted): boolean {
  return trusted.some(({ version, number, bits }) => {
    const rest = BigInt(BITS[version] - bits)
    return version === address.version && number >> rest === address.number >> rest
  })
}

function nameOf({ version, number }: Address): string {
  if (version === 4) return stringifyIp({ version, number })
  const groups = [112n, 96n, 80n, 64n].map((shift) => ((number >> shift) & 0xffffn).toString(16))
  return `${groups.join(':')}::/64`
}
