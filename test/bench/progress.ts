import type { Progress } from './row.ts'

/** How often a line is written when it cannot be overwritten. */
const EVERY_MS = 2000

/** Shows progress on stderr: in one line on a terminal, otherwise in a new line every two seconds. */
export function progressOf(name: string): Progress {
  const { stderr } = process
  let said = Number.NEGATIVE_INFINITY
  return (text) => {
    if (stderr.isTTY) {
      stderr.write(`\r\u001b[K${name}: ${text}`)
      return
    }
    if (performance.now() - said < EVERY_MS) return
    said = performance.now()
    stderr.write(`${name}: ${text}\n`)
  }
}

/** Clears the line on a terminal. */
export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
}
