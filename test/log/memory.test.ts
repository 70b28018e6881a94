import { memoryLog } from '../../src/log/memory.ts'
import { logSuite } from './suite.ts'

logSuite({ name: 'memory', survives: false, place: () => ({ open: memoryLog, remove: () => {} }) })
