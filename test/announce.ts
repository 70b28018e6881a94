/** Before all tests, for every process that runs them: the seed, said once, and the hub that a user names. */
export default function announce(): void {
  // Vite has a BASE_URL of its own inside the workers.
  if (process.env.BASE_URL && URL.canParse(process.env.BASE_URL)) process.env.HUB_URL ??= process.env.BASE_URL
  process.env.SEED ??= String(Math.floor(Math.random() * 2 ** 31))
  console.log(
    `random tests run with SEED=${process.env.SEED}${process.env.SOAK === '1' ? ' at full figures (SOAK=1)' : ''}`,
  )
}
