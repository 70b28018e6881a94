import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { folder } from './server.ts'

const LIBRARIES = '/usr/lib'
const library = (existsSync(LIBRARIES) ? readdirSync(LIBRARIES) : [])
  .map((place) => join(LIBRARIES, place, 'faketime/libfaketimeMT.so.1'))
  .find((path) => existsSync(path))

/** Why tests cannot move a clock; '' if they can. */
export const withoutClock = library ? '' : 'needs libfaketime (Debian: faketime), which this machine does not have'

/** The clock of one process, which can be moved while it runs. */
export interface Clock {
  /** The environment that the process needs. */
  readonly env: Record<string, string>
  /** Sets the clock this many seconds ahead of the machine's clock, or behind it if negative. */
  set(offset: number): void
  /** Stops the clock at a time, in seconds since 1970. */
  stop(at: number): void
}

export function clock(): Clock {
  const file = join(folder(), 'offset')
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file) // so that the file is never read half written
  }
  const set = (offset: number) => write(`${offset < 0 ? '-' : '+'}${Math.abs(offset)}s`)
  set(0)
  return {
    set,
    stop: (at) => write(new Date(1000 * at).toISOString().slice(0, 19).replace('T', ' ')),
    env: {
      TZ: 'UTC', // the time zone of the time that the clock is stopped at
      // With libc's malloc, because Redis's jemalloc reads the time while libfaketime starts, which deadlocks.
      LD_PRELOAD: `${library} libc.so.6`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  }
}
