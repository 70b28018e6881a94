import { AppError, quote } from '../errors.ts'

// Names of parameters and fields that clients send and the hub does not know.

/** Names of parameters that clients and polyfills add so that no cache answers. They are spelt as `bare` returns them. */
const CACHE_BREAKERS: readonly string[] = [
  ...['bust', 'buster', 'cache', 'cachebust', 'cachebuster', 'cb', 'date', 'dc', 'nocache', 'nonce', 'now'],
  ...['preventcache', 'dojo.preventcache', 'rand', 'random', 'rnd', 'stamp', 'time', 'timestamp', 'ts'],
]

/** Whether a name only makes a URL unique: it has at most one letter, is a number, or is in `CACHE_BREAKERS`. Ignores case, `-` and `_`. */
export function isCacheBreaker(name: string): boolean {
  const letters = bare(name)
  return letters.length <= 1 || /^[\d.]+$/.test(letters) || CACHE_BREAKERS.includes(letters)
}

/**
 * Returns the known name that a client meant by a misspelt name; undefined if no known name resembles it.
 *
 * - Case, `-` and `_` do not count: `Last-Event-ID` means `lastEventId`.
 * - A difference is a letter that is added, left out, replaced, or swapped with its neighbour.
 * - A known name of five letters or more allows two differences if the first letter is right, else one: `test` does not mean `latest`.
 * - A shorter known name allows one difference: with two, half of all words would resemble it.
 * - A name of one or two letters and a cache breaker resemble no known name.
 *
 * @param ours the known names
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
 * Throws if a parameter is misspelt. In strict mode, also throws for every other unknown name that is not a cache breaker.
 *
 * @param ours the known names
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

/** Returns how many letters differ (optimal string alignment); above `most`, the number may be wrong but is also above `most`. */
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
