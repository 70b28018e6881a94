import process from 'node:process'

/** Longest wait for the cleaning up before the process ends. */
const CLEAN_UP_MS = 2000

/**
 * Cleans up if the user interrupts what runs meanwhile. Then the process ends by the signal, as it would have without us: a shell sees that
 * its loop was interrupted, and the exit code is 130 for Ctrl-C.
 */
export async function cleanlyInterrupted<T>(run: () => Promise<T>, cleanUp: () => unknown): Promise<T> {
  const end = async (signal: NodeJS.Signals) => {
    process.removeListener('SIGINT', end)
    process.removeListener('SIGTERM', end)
    try {
      await Promise.race([cleanUp(), new Promise((resolve) => setTimeout(resolve, CLEAN_UP_MS))])
    } finally {
      process.kill(process.pid, signal)
    }
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  try {
    return await run()
  } finally {
    process.removeListener('SIGINT', end)
    process.removeListener('SIGTERM', end)
  }
}
