import type { Progress } from './row.ts'

/** How often a line is written where it cannot be written over. */
const EVERY_MS = 2000

/** Says on stderr what goes on: in one line on a terminal, else in a new one every other second. */
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

/** Takes the line away. */
export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
}
