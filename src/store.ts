import { AppError } from './errors.ts'
import { Hub } from './hub/hub.ts'
import { memoryLog } from './log/memory.ts'
import { VERSION } from './version.ts'

/** The key under which all copies of this package in a process find the one store. */
const SHARED = Symbol.for('tidings store')

interface Registered {
  readonly version: string
  readonly hub: Hub
}

/**
 * The store of this process. It opens a memory log at its first use, unless a server has given it another log with `store.use(log)`.
 *
 * All copies of this package in the process share it: two bundles, or a dev server that loads modules again. Copies of two versions do not:
 * the second to be loaded throws at its first use, because what one publishes would not reach the readers of the other.
 *
 * @example
 * const news = createApp({ hub: store, open: true })
 * await store.publish({ topic: 'news', data: 'It works' })
 */
export const store: Hub = /* @__PURE__ */ sharedStore(globalThis as { [SHARED]?: Registered })

function sharedStore(copies: { [SHARED]?: Registered }): Hub {
  copies[SHARED] ??= { version: VERSION, hub: new Hub(memoryLog) }
  const { version, hub } = copies[SHARED]
  return version === VERSION ? hub : new Hub(() => refuse(version))
}

/** @throws AppError `config_invalid` */
function refuse(version: string): never {
  throw new AppError(
    'config_invalid',
    `Cannot use the default hub of tidings ${VERSION}: tidings ${version} has one in this process already; restart the process after an upgrade, install one version, or make a hub of your own with new Hub(memoryLog)`,
  )
}
