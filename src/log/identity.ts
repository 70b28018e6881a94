/**
 * What an adapter keeps beside a database, so that an older state or a copy of it is not taken for the log that clients know: the
 * epoch, and the highest seq that may have been acknowledged.
 *
 * Numbers of the file system say nothing: ext4 gives a freed inode to the next file, and a volume gets another device number when it
 * is attached again.
 */
export interface Tip {
  /** What was written last; nothing where there is none, or it cannot be read. */
  read(): Acknowledged | undefined
  /** Replaces it durably, its name included. */
  reset(tip: Acknowledged): void
  /** Raises the seq. It is kept over kill -9; a power cut may bring back a lower one, never one that the database has not. */
  advance(seq: number): void
}

export interface Acknowledged {
  readonly epoch: string
  readonly seq: number
}

/** How a database is known to be the same log. */
export interface Identity {
  /** The place that a database without a tip belongs to: an object's id, or for files of older versions device and inode. */
  readonly home: string
  readonly tip?: Tip
  /** See `LogOptions.newEpoch`. */
  readonly newEpoch?: string
}

/** What a database says of itself. */
export interface Known {
  readonly epoch: string
  readonly home: string
  readonly head: number
  /** The last `newEpoch` that it remembers. */
  readonly renewed: string | null
}

/**
 * Whether positions of a database's epoch still name places in it.
 *
 * @param hasTip whether a release that writes tips has opened this database before; if not, its `home` is trusted, once
 */
export function isSameLog({ epoch, home, head, renewed }: Known, identity: Identity, hasTip: boolean): boolean {
  if (identity.newEpoch !== undefined && identity.newEpoch !== renewed) return false
  if (!identity.tip) return home === identity.home
  const tip = identity.tip.read()
  if (tip) return tip.epoch === epoch && tip.seq <= head
  return !hasTip && home === identity.home
}
