import ipaddr from 'ipaddr.js'

/** The proxies whose `X-Forwarded-For` is believed, as parsed addresses and CIDR ranges. */
export type Trusted = readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[]

/** @throws if an element is neither an address nor a CIDR range */
export function parseTrusted(list: readonly string[]): Trusted {
  return list.map((range) => {
    if (!isAddress(range.split('/', 1)[0]!)) throw new Error(`Cannot use ${range} as an address or a CIDR range`)
    if (range.includes('/')) return canonical(ipaddr.parseCIDR(range))
    const address = ipaddr.process(range)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
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

/** Converts a range of IPv4-mapped IPv6 addresses (`::ffff:10.0.0.0/104`) to IPv4, as `parse` converts addresses. */
function canonical([address, bits]: [ipaddr.IPv4 | ipaddr.IPv6, number]): Trusted[number] {
  if (address.kind() === 'ipv4' || bits < 96 || !(address as ipaddr.IPv6).isIPv4MappedAddress()) return [address, bits]
  return [(address as ipaddr.IPv6).toIPv4Address(), bits - 96]
}

/** Whether the peer of a connection is a trusted proxy. */
export function isTrustedPeer(peer: string | undefined, trusted: Trusted): boolean {
  const address = trusted.length === 0 ? undefined : parse(peer)
  return address !== undefined && isTrusted(address, trusted)
}

/** Whether a text is an address. Refuses the short forms of C (`7`, `0x7f.1`, `10` in `10/8`): few people know which address they mean. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
}

/** Parses an address. Some proxies add brackets or a port, which are ignored. */
function parse(text: string | undefined): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (text === undefined) return
  const [, inBrackets, beforePort] = /^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/.exec(text) ?? []
  const bare = (inBrackets ?? beforePort ?? text).replace(/%.*$/, '')
  if (isAddress(bare)) return ipaddr.process(bare)
}

function isTrusted(address: ipaddr.IPv4 | ipaddr.IPv6, trusted: Trusted): boolean {
  return trusted.some(([range, bits]) => range.kind() === address.kind() && address.match(range as never, bits))
}

function nameOf(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}
