import { whenGone } from '../client-gone.ts'

/** Resolves after a time in ms, or once the signal aborts. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    let stopListening = () => {}
    const end = () => {
      clearTimeout(timer)
      stopListening()
      resolve()
    }
    const timer = setTimeout(end, ms)
    if (signal) stopListening = whenGone(signal, end)
  })
}
