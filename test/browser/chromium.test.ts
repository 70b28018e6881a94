import { afterAll } from 'vitest'
import { runtimes } from '../server/runtimes.ts'
import { chromium } from './chromium.ts'
import { pageSuite } from './suite.ts'

for (const runtime of runtimes) pageSuite(chromium, runtime)
afterAll(chromium.quit)
