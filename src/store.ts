import { Hub } from './hub/hub.ts'
import { memoryLog } from './log/memory.ts'

/** The store of this process. It opens a memory log at its first use, unless a server has given it another log with `store.use(log)`. */
export const store = new Hub(memoryLog)
