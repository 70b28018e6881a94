/** One thing that is measured: a file in `rows/`, listed in `bench.ts`. */
export interface Row {
  readonly name: string
  /** What it measures, in a sentence. */
  readonly says: string
  /** @param url of a hub elsewhere, where it is to be measured instead of one of our own; for rows that say so */
  run(progress: Progress, url?: string): Promise<Measurements>
  readonly anywhere?: true
}

/** Says what goes on, to whoever waits. */
export type Progress = (text: string) => void

export interface Measurements {
  /** What was measured, a line of a table each; all with the same columns. A cell that is missing could not be measured here. */
  readonly lines: readonly Readonly<Record<string, string | number | undefined>>[]
  /** What stays true on another machine. */
  readonly ratios: readonly Ratio[]
  /** What the figures do not say. */
  readonly notes?: readonly string[]
}

export interface Ratio {
  readonly of: string
  readonly value: number
  /** Where we want it, as people read it. Never a verdict: machines differ, and so do hours on one machine. */
  readonly goal?: string
}
