import { spawn } from 'node:child_process'
import { fstatSync } from 'node:fs'
import process from 'node:process'

/** A `tail` that does not know our flags has ended within this time. */
const REFUSED_MS = 300

/**
 * Writes to stdout, and waits while its reader does not read. The process ends with 0 once the reader has gone (`tidings tail a | head -1`):
 * the reader has what it wanted.
 */
export async function print(text: string): Promise<void> {
  endAtErrors()
  if (process.stdout.write(text)) return
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
}

let isListening = false

function endAtErrors(): void {
  if (isListening) return
  isListening = true
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    process.stderr.write(`Cannot write to stdout: ${error.code ?? error.message}\n`)
    process.exit(1)
  })
}

/**
 * Ends the process with 0 soon after the reader of a pipe has gone, also while there is nothing to write: `tidings tail deploys | head -1`
 * need not wait for a second event. No runtime can watch the other end of a pipe, but GNU `tail -f` does for its own stdout (coreutils 8.28
 * or newer), so one shares ours. On other systems the process ends at its next write.
 */
export function endWithReader(): void {
  if (process.platform !== 'linux' || !fstatSync(1).isFIFO()) return
  const begun = performance.now()
  const args = ['-f', '/dev/null', `--pid=${process.pid}`] // ends with us, even after kill -9
  const watcher = spawn('tail', args, { stdio: ['ignore', 'inherit', 'ignore'] })
  watcher.on('error', () => {}) // there is no tail
  watcher.on('exit', (code, signal) => {
    // Where SIGPIPE is ignored it exits with 1, as another tail does at once for `--pid`.
    if (signal === 'SIGPIPE' || (code === 1 && performance.now() - begun > REFUSED_MS)) process.exit(0)
  })
  watcher.unref()
  process.on('exit', () => watcher.kill()) // otherwise it would keep the pipe open for its reader
}
