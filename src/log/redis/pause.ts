/** Time in ms between attempts while the server cannot be used. */
export const RETRY_MS = 200

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
