/** Runs once before all tests: chooses and prints the seed, and takes the URL of a hub to test. */
export default function announce(): void {
  // Inside the workers Vite sets a BASE_URL of its own.
  if (process.env.BASE_URL && URL.canParse(process.env.BASE_URL)) process.env.HUB_URL ??= process.env.BASE_URL
  process.env.SEED ??= String(Math.floor(Math.random() * 2 ** 31))
  console.log(
    `random tests run with SEED=${process.env.SEED}${process.env.SOAK === '1' ? ' at full figures (SOAK=1)' : ''}`,
  )
}
