/**
 * A record beside a database: the epoch, and the highest seq that may have been acknowledged. It tells the log that clients know from an
 * older state or a copy of it.
 *
 * Inode and device numbers cannot: ext4 gives a freed inode to the next file, and a volume gets another device number when it is attached
 * again.
 */
export interface Tip {
  /** The last record; nothing if there is none or it cannot be read. */
  read(): Acknowledged | undefined
  /** Replaces the record durably, its file name included. */
  reset(tip: Acknowledged): void
  /** Raises the seq. It survives kill -9; a power cut may bring back a lower seq, never one that the database does not have. */
  advance(seq: number): void
}

export interface Acknowledged {
  readonly epoch: string
  readonly seq: number
}

/** How a database is recognised as the same log. */
export interface Identity {
  /** Where a database without a tip belongs: the id of an object, or device and inode for files of older versions. */
  readonly home: string
  readonly tip?: Tip
  /** See `LogOptions.newEpoch`. */
  readonly newEpoch?: string
}

/** What a database records about itself. */
export interface Known {
  readonly epoch: string
  readonly home: string
  readonly head: number
  /** The last `newEpoch`. */
  readonly renewed: string | null
}

/**
 * Whether positions of a database's epoch are still places in it.
 *
 * @param hasTip whether a release that writes tips has opened this database before; if not, its `home` is trusted once
 */
export function isSameLog({ epoch, home, head, renewed }: Known, identity: Identity, hasTip: boolean): boolean {
  if (identity.newEpoch !== undefined && identity.newEpoch !== renewed) return false
  if (!identity.tip) return home === identity.home
  const tip = identity.tip.read()
  if (tip) return tip.epoch === epoch && tip.seq <= head
  return !hasTip && home === identity.home
}
