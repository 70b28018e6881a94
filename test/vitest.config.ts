import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/announce.ts'],
    expect: { poll: { interval: 10, timeout: 5000 } },
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
