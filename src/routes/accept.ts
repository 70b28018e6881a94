import { parseAccept } from 'hono/utils/accept'

/** What a client wants of the types that a route offers. */
export interface Negotiated<Type extends string> {
  readonly type: Type
  /** Whether the client has named the type itself, and not only a range that includes the type. */
  readonly isNamed: boolean
}

/**
 * Chooses one of the types that a route offers, by the quality that `Accept` gives each (RFC 9110, 12.5.1): the most specific range that
 * includes a type decides.
 *
 * - At equal quality, the type that is named more specifically wins. So axios, which names JSON and then the range of all types, gets JSON.
 * - At equal quality and specificity, the type that is offered first wins.
 * - Without `Accept` every type is acceptable. If none is, the header is disregarded, as the clause allows. The first type wins both times.
 * - Parameters of a range are ignored: each type has one representation.
 *
 * Hono's own `accepts` is no replacement: its range of all types includes nothing, so JSON with `q=0.1` beside that range wins there.
 */
export function negotiate<Type extends string>(
  accept: string | undefined,
  [first, ...others]: readonly [Type, ...Type[]],
): Negotiated<Type> {
  const ranges = parseAccept(accept ?? '').map(({ type, q }) => ({ type: type.toLowerCase(), q }))
  let best = preferenceFor(first, ranges)
  let type = first
  for (const other of others) {
    const preference = preferenceFor(other, ranges)
    const isBetter = preference.q > best.q || (preference.q === best.q && preference.specificity > best.specificity)
    if (preference.q > 0 && isBetter) [type, best] = [other, preference]
  }
  return { type, isNamed: best.q > 0 && best.specificity === NAMED }
}

interface Range {
  readonly type: string
  readonly q: number
}

/** Index of the type itself among the ranges that include a type, from the least specific one. */
const NAMED = 2

/** Returns the quality of a type, and how specific the range is that gives it; quality 0 if no range includes the type. */
function preferenceFor(type: string, ranges: readonly Range[]): { q: number; specificity: number } {
  const [main] = type.split('/')
  // `*` alone is no range of RFC 9110. Java's HttpURLConnection sends it in the place of `*/*`.
  const including = [['*/*', '*'], [`${main}/*`], [type]]
  for (let specificity = NAMED; specificity >= 0; specificity--) {
    const given = ranges.filter(({ type }) => including[specificity]!.includes(type))
    if (given.length > 0) return { q: Math.max(...given.map(({ q }) => q)), specificity }
  }
  return { q: 0, specificity: -1 }
}
