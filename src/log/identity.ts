/**
 * A record beside a database: the epoch, and the highest seq that may have been acknowledged. The record distinguishes the log that clients
 * know from an older state or a copy of it.
 *
 * Inode and device numbers do not distinguish them: ext4 gives a freed inode to the next file, and a volume gets another device number when
 * it is attached again.
 */
export interface Tip {
  /** The last record; undefined if there is no readable record. */
  read(): Acknowledged | undefined
  /** Replaces the record. On return the new content and the name of its file are durable. */
  reset(tip: Acknowledged): void
  /** Raises the seq. The new seq survives kill -9. A power cut may restore a lower seq, never one that the database does not have. */
  advance(seq: number): void
}

export interface Acknowledged {
  readonly epoch: string
  readonly seq: number
}

/** What tells whether a database is still the log that clients know. */
export interface Identity {
  /** Identifies a database without a tip: the id of a Durable Object, or device and inode for files of older versions. */
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
  /** The last `newEpoch` text that began an epoch; null for none. */
  readonly renewed: string | null
}

/**
 * Whether positions of a database's epoch are still valid.
 *
 * @param hasTip whether a release that writes tips has opened this database before; if not, the database is recognised by its `home` once
 */
export function isSameLog({ epoch, home, head, renewed }: Known, identity: Identity, hasTip: boolean): boolean {
  if (identity.newEpoch !== undefined && identity.newEpoch !== renewed) return false
  if (!identity.tip) return home === identity.home
  const tip = identity.tip.read()
  if (tip) return tip.epoch === epoch && tip.seq <= head
  return !hasTip && home === identity.home
}
