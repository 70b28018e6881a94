import { afterAll, afterEach, beforeEach } from 'vitest'
import { cleanUp } from '../server/server.ts'
import type { Browser } from './browser.ts'

/** Skips tests where one of their browsers is missing, closes all pages and servers after each, and ends the browsers after all. */
export function prepareBrowsers(...browsers: readonly Pick<Browser, 'missing' | 'leave' | 'quit'>[]): void {
  beforeEach((context) => {
    for (const { missing } of browsers) context.skip(missing !== '', missing)
  })
  // In one hook, because a hook that fails keeps the next from running.
  afterEach(() => Promise.all(browsers.map((browser) => browser.leave())).finally(cleanUp))
  afterAll(() => Promise.all(browsers.map((browser) => browser.quit())))
}
