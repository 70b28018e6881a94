import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    globalSetup: ['test/announce.ts'],
    include: ['test/**/*.test.ts'],
    expect: { poll: { interval: 10, timeout: 5000 } },
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
