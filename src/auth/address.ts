import ipaddr from 'ipaddr.js'

/** Proxies whose word is taken for whom they speak for, as addresses or CIDR ranges. */
export type Trusted = readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[]

/** @throws if one is neither */
export function parseTrusted(list: readonly string[]): Trusted {
  return list.map((range) => {
    if (range.includes('/')) return ipaddr.parseCIDR(range)
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

function parse(text: string | undefined): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = text?.replace(/%.*$/, '')
  return bare !== undefined && ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined
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
