/** One measurement: a file in `rows/`, listed in `bench.ts`. */
export interface Row {
  readonly name: string
  /** What the row measures, in a sentence. */
  readonly says: string
  /** @param url a running hub to measure in place of the bench's own; only for rows with `anywhere` */
  run(progress: Progress, url?: string): Promise<Measurements>
  readonly anywhere?: true
}

/** Shows the progress of a measurement. */
export type Progress = (text: string) => void

export interface Measurements {
  /** The lines of the table, all with the same columns. A missing cell could not be measured here. */
  readonly lines: readonly Readonly<Record<string, string | number | undefined>>[]
  /** Figures that can be compared between machines. */
  readonly ratios: readonly Ratio[]
  /** How to read the figures. */
  readonly notes?: readonly string[]
}

export interface Ratio {
  readonly of: string
  readonly value: number
  /** The goal, for people to read. The bench gives no verdict, because machines differ, and so do hours on one machine. */
  readonly goal?: string
}
