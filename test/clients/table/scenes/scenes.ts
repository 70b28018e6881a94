import type { Scene } from '../scene.ts'
import { closed, gone } from './closed.ts'
import { data } from './data.ts'
import { kill } from './kill.ts'
import { lifetime } from './lifetime.ts'
import { overload } from './overload.ts'

export const scenes: readonly Scene[] = [data, kill, lifetime, overload, closed, gone]
