/** Runs once before all tests: chooses and prints the seed, and passes the URL of a hub to test on as `HUB_URL`. */
export default function announce(): void {
  // The tests cannot read BASE_URL: Vite sets it to another value inside its workers.
  if (process.env.BASE_URL && URL.canParse(process.env.BASE_URL)) process.env.HUB_URL ??= process.env.BASE_URL
  process.env.SEED ??= String(Math.floor(Math.random() * 2 ** 31))
  console.log(
    `random tests run with SEED=${process.env.SEED}${process.env.SOAK === '1' ? ' at full figures (SOAK=1)' : ''}`,
  )
}
