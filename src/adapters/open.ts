import type { Config } from '../config.ts'
import type { Log } from '../log/log.ts'
import { memoryLog } from '../log/memory.ts'
import { openSqlite } from './sqlite.ts'

/** Opens the log that `LOG` names. @throws AppError `log_unusable`, `log_locked` */
export function openLog({ log, logOptions }: Config): Log {
  return log === 'memory:' ? memoryLog(logOptions) : openSqlite(log.slice('sqlite:'.length), logOptions)
}
