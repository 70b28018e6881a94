import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import process from 'node:process'
import type { Sink } from './line-writer.ts'

/** The part of Deno's stdout and stderr that we use. */
interface DenoStream {
  /** Writes some of the bytes in another thread. @returns how many */
  write(bytes: Uint8Array): Promise<number>
}

declare const Deno: undefined | Readonly<Record<Output, DenoStream>>

export type Output = 'stdout' | 'stderr'

/**
 * Opens an output of this process so that a write never blocks: not on a terminal that is stopped, nor on a pipe that nobody reads. The
 * streams of `node:process` block on terminals, and on Deno on everything.
 */
export function openSink(output: Output): Sink {
  if (typeof Deno !== 'undefined') return asynchronousSink(Deno[output])
  const fd = output === 'stdout' ? 1 : 2
  if (fstatSync(fd).isFile()) return descriptorSink(fd) // never blocks, and may share its offset with other writers
  try {
    // Opened once more, a terminal or a pipe can be non-blocking for us alone; only Linux has /proc.
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
    return descriptorSink(openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY))
  } catch {
    // A socket (systemd's journal, say) cannot be opened again, nor can what belongs to another user.
    void process[output] // Node and Bun make a pipe or a socket non-blocking when they make its stream
    return descriptorSink(fd)
  }
}

function descriptorSink(fd: number): Sink {
  return {
    write(bytes) {
      try {
        return writeSync(fd, bytes)
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'EAGAIN') return 0
        throw cause
      }
    },
  }
}

/** A sink over asynchronous writes. The first call begins a write; a later call with the same bytes returns its result. */
function asynchronousSink(stream: DenoStream): Sink {
  let isBusy = false
  let outcome: { readonly written: number } | { readonly cause: unknown } | undefined
  return {
    write(bytes) {
      const last = outcome
      outcome = undefined
      if (last && 'cause' in last) throw last.cause
      if (last) return last.written
      if (isBusy) return 0
      isBusy = true
      stream
        .write(bytes)
        .then(
          (written) => {
            outcome = { written }
          },
          (cause) => {
            outcome = { cause }
          },
        )
        .finally(() => {
          isBusy = false
        })
      return 0
    },
  }
}
