/** 128 random bits, in hex. */
export function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** A random time between `ms / 2` and `ms`, so that readers that leave together do not come back together. */
export function jitter(ms: number): number {
  return Math.round(ms * (0.5 + Math.random() / 2))
}
