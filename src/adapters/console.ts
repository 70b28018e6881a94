import process from 'node:process'
import { format } from 'node:util'
import { stderr, stdout } from './log-lines.ts'

/** Longest wait for the last lines to be written before the process ends. */
const DRAIN_MS = 500

/** Makes the console of this process write through our writers: its own methods may block, or end the process. */
export function replaceConsole(): void {
  for (const method of ['log', 'info', 'debug'] as const) console[method] = (...data) => stdout.write(format(...data))
  for (const method of ['error', 'warn', 'trace'] as const) console[method] = (...data) => stderr.write(format(...data))
  const flush = () => {
    stdout.flush()
    stderr.flush()
  }
  flush() // opens both, while there are file descriptors
  process.on('exit', flush)
}

/** Ends the process once its last lines are written, or nobody reads them. */
export async function exit(code: number): Promise<never> {
  await Promise.all([stdout.drain(DRAIN_MS), stderr.drain(DRAIN_MS)])
  process.exit(code)
}
