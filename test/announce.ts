/** Before all tests: the seed for every process that runs them, said once. */
export default function announce(): void {
  process.env.SEED ??= String(Math.floor(Math.random() * 2 ** 31))
  console.log(
    `random tests run with SEED=${process.env.SEED}${process.env.SOAK === '1' ? ' at full figures (SOAK=1)' : ''}`,
  )
}
