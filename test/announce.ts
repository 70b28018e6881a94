import { fileURLToPath } from 'node:url'

/**
 * Runs once before all tests: chooses and prints the seed, and passes the URL of a hub to test on as `HUB_URL`. Node keeps what it has
 * compiled in a folder, because tests start the same programs hundreds of times, and compiling takes most of a start.
 */
export default function announce(): void {
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/node', import.meta.url))
  // The tests cannot read BASE_URL: Vite sets it to another value inside its workers.
  if (process.env.BASE_URL && URL.canParse(process.env.BASE_URL)) process.env.HUB_URL ??= process.env.BASE_URL
  process.env.SEED ??= String(Math.floor(Math.random() * 2 ** 31))
  console.log(
    `random tests run with SEED=${process.env.SEED}${process.env.SOAK === '1' ? ' at full figures (SOAK=1)' : ''}`,
  )
}
