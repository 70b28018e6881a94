import { seed } from '../seed.ts'

export interface Random {
  /** From 0 up to, but not including, 1. */
  (): number
  /** A whole number from `min` to `max`, both possible. */
  whole(min: number, max: number): number
  pick<T>(from: readonly T[]): T
}

/** Gives the same numbers for the same `SEED`, and different ones for each `stream` (mulberry32). */
export function random(stream = 0): Random {
  let state = (seed + Math.imul(stream, 0x9e3779b9)) | 0
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const whole = (min: number, max: number) => min + Math.floor(next() * (max - min + 1))
  return Object.assign(next, { whole, pick: <T>(from: readonly T[]) => from[whole(0, from.length - 1)]! })
}
