/** `SOAK=1 npm test` runs the full figures; without it every test is of a size of seconds. */
export const soak = process.env.SOAK === '1'

/** One seed for every random test of a run: print it, and `SEED=… npm test` runs the same again. */
export const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** How many times, or how much: the size of seconds, or that of a soak. */
export function runs(small: number, full: number): number {
  return soak ? full : small
}
