import { Hub } from './hub/hub.ts'
import { memoryLog } from './log/memory.ts'

/** The store of this process. A server gives it a log with `store.use(log)`; without, it opens a memory log at its first use. */
export const store = new Hub(memoryLog)
