import { isRest } from '../part.ts'
import type { Cases } from './suite/client.ts'

/** The cases that depend on a runtime in `npm test`, the others in `npm run test:all`. */
export const cases: Cases = isRest ? 'others' : 'everywhere'
