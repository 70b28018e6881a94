/** Whether this run is `npm run test:all`, the rest of the matrix, and not `npm test`. */
export const isRest = process.env.TESTS === 'rest'

/**
 * Splits a matrix: `npm test` runs `first`, where a promise is most likely to break, and `npm run test:all` runs `rest`.
 * A file that uses this is listed as `inBoth` in `vitest.config.ts`.
 */
export function part<T>(first: readonly T[], rest: readonly T[]): readonly T[] {
  return isRest ? rest : first
}
