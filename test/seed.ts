/** `SOAK=1 npm test` runs the full sizes; without it every test takes seconds. */
export const soak = process.env.SOAK === '1'

/** One seed for every random test of a run; `SEED=… npm test` repeats a run. */
export const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** The small size, or with `SOAK=1` the full size. */
export function runs(small: number, full: number): number {
  return soak ? full : small
}
