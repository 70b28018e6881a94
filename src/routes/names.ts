import { AppError, quote } from '../errors.ts'

// Names that clients give to parameters and fields, and that are none of ours.

/** Names that clients and polyfills add so that no cache answers, as `bare` makes them. */
const CACHE_BREAKERS: readonly string[] = [
  ...['bust', 'buster', 'cache', 'cachebust', 'cachebuster', 'cb', 'date', 'dc', 'nocache', 'nonce', 'now'],
  ...['preventcache', 'dojo.preventcache', 'rand', 'random', 'rnd', 'stamp', 'time', 'timestamp', 'ts'],
]

/** Whether a name only makes a URL unique: one letter or none, a number, or one of `CACHE_BREAKERS`. Case, `-` and `_` do not count. */
export function isCacheBreaker(name: string): boolean {
  const letters = bare(name)
  return letters.length <= 1 || /^[\d.]+$/.test(letters) || CACHE_BREAKERS.includes(letters)
}

/**
 * Returns the name of ours that a client meant by another name; undefined if it resembles none of them.
 *
 * - Case, `-` and `_` do not count: `Last-Event-ID` means `lastEventId`.
 * - In a name of five letters and more two letters may differ, the second one only if the first letter is right: `test` does not mean
 *   `latest`. In a shorter name one letter may differ: more would take in half of all words. A letter is added, left out, replaced, or
 *   swapped with its neighbour.
 * - Names of up to two letters and cache breakers mean none.
 */
export function meantBy(name: string, ours: readonly string[]): string | undefined {
  const letters = bare(name)
  if (letters.length <= 2 || isCacheBreaker(name)) return
  let meant: string | undefined
  let least = 3
  for (const own of ours) {
    const theirs = bare(own)
    const most = theirs.length < 5 ? 1 : theirs[0] === letters[0] ? 2 : 1
    const difference = differenceOf(letters, theirs, most)
    if (difference <= most && difference < least) [meant, least] = [own, difference]
  }
  return meant
}

/**
 * Throws if a parameter is misspelt, and in strict mode for every other name that is neither ours nor a cache breaker.
 *
 * @throws AppError `parameter_unknown`
 */
export function refuseUnknown(names: Iterable<string>, ours: readonly string[], isStrict = false): void {
  for (const name of names) {
    if (ours.includes(name)) continue
    const meant = meantBy(name, ours)
    if (meant === undefined && (!isStrict || isCacheBreaker(name))) continue
    throw new AppError(
      'parameter_unknown',
      `Cannot use ${quote(name)} as a parameter: expected ${meant ?? ours.join(', ')}`,
    )
  }
}

function bare(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Returns how many letters differ (optimal string alignment), or more than `most` if there are more. */
function differenceOf(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return most + 1
  let [before, row] = [[] as number[], Array.from({ length: other.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1]
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      next[j] = Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (isSame ? 0 : 1),
        isSwapped ? before[j - 2]! + 1 : most + 1,
      )
    }
    before = row
    row = next
  }
  return row[other.length]!
}
