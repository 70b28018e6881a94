import { afterAll } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { chromium } from './chromium.ts'
import { pageSuite } from './suite.ts'

for (const runtime of part([node], [bun, deno, worker])) pageSuite(chromium, runtime)
afterAll(chromium.quit)
