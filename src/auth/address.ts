import ipaddr from 'ipaddr.js'

/** Proxies whose word is taken for whom they speak for, as addresses or CIDR ranges. */
export type Trusted = readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[]

/** @throws if one is neither */
export function parseTrusted(list: readonly string[]): Trusted {
  return list.map((range) => {
    if (range.includes('/')) return canonical(ipaddr.parseCIDR(range))
    const address = ipaddr.process(range)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
  })
}

/**
 * Whom a request is from: the nearest address that is no trusted proxy, read from the right of `X-Forwarded-For`, because anybody
 * may write what stands left of it. One name for all spellings of an address, and for all addresses of an IPv6 /64, which is what
 * one customer has.
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

/** An IPv4 range that is written as IPv6 (`::ffff:10.0.0.0/104`) is one of IPv4, as its addresses are. */
function canonical([address, bits]: [ipaddr.IPv4 | ipaddr.IPv6, number]): Trusted[number] {
  if (address.kind() === 'ipv4' || bits < 96 || !(address as ipaddr.IPv6).isIPv4MappedAddress()) return [address, bits]
  return [(address as ipaddr.IPv6).toIPv4Address(), bits - 96]
}

/** Whether the other end of a connection is one of the trusted proxies. */
export function isTrustedPeer(peer: string | undefined, trusted: Trusted): boolean {
  const address = trusted.length === 0 ? undefined : parse(peer)
  return address !== undefined && isTrusted(address, trusted)
}

/** An address, also as some proxies write it: in brackets, with a port. What only C would read as one (`7`, `0x7f.1`) is none. */
function parse(text: string | undefined): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (text === undefined) return
  const [, inBrackets, beforePort] = /^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/.exec(text) ?? []
  const bare = (inBrackets ?? beforePort ?? text).replace(/%.*$/, '')
  if (ipaddr.IPv4.isValidFourPartDecimal(bare) || ipaddr.IPv6.isValid(bare)) return ipaddr.process(bare)
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
