import type { Config } from '../config/config.ts'
import { type LogUrl, schemeOf } from '../config/values.ts'
import type { Log, LogOptions } from '../log/log.ts'
import { memoryLog } from '../log/memory.ts'
import { warn } from './log-lines.ts'
import { openSqlite } from './sqlite.ts'

/** A kind of log that `LOG` may name: how its URL looks, and how it is opened. */
interface LogKind extends LogUrl {
  /** @throws AppError `log_unusable`, `log_locked` */
  open(url: string, options: Partial<LogOptions>): Log | Promise<Log>
}

/** The logs of a server, by the scheme of their URLs. The check of `LOG` is made of this table: a new kind is one entry. */
export const logs: Readonly<Record<string, LogKind>> = {
  memory: { form: 'memory:', pattern: /^memory:$/, open: (_, options) => memoryLog(options) },
  sqlite: {
    form: 'sqlite:PATH',
    pattern: /^sqlite:(?!\/\/).+$/,
    hint: 'with no // before PATH: sqlite:data/tidings.db or sqlite:/var/lib/tidings.db',
    open: (url, options) => openSqlite(url.slice('sqlite:'.length), options),
  },
  redis: redis('redis'),
  rediss: redis('rediss'),
}

function redis(scheme: string): LogKind {
  return {
    form: `${scheme}://HOST:PORT/HUB`,
    pattern: new RegExp(`^${scheme}://[^/]+/[\\w.~-]{1,100}$`),
    hint: 'with the name of a hub, and USER:PASSWORD@ before HOST if the server asks for them',
    // Only the hubs that use the client load it.
    open: async (url, options) => (await import('./redis.ts')).openRedis(url, options),
  }
}

/** Opens the log that `LOG` names. @throws AppError `log_unusable`, `log_locked` */
export async function openLog({ log, logOptions }: Config): Promise<Log> {
  return logs[schemeOf(log)]!.open(log, { ...logOptions, warn })
}
