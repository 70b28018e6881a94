import { describe, test } from 'vitest'
import { httpSuite } from './suite.ts'

const HUB_URL = process.env.HUB_URL?.replace(/\/$/, '')

if (HUB_URL)
  // Two heartbeats of 15 s: some runtimes notice a vanished reader only when they write to it.
  httpSuite({ name: HUB_URL, fetch: (path, init) => fetch(HUB_URL + path, init), goneWithinMs: 35_000, cleansUp: true })
else
  describe('over any URL', () => {
    test('needs HUB_URL', ({ skip }) => skip('give one: npm run conformance -- https://…'))
  })
