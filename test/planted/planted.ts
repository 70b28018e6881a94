import { parseArgs } from 'node:util'
import { type Bug, bugs } from './bugs.ts'
import { Copy } from './copy.ts'
import { type FailedTest, Tests } from './tests.ts'

const help = `Plants bugs, one at a time, into a copy of the project, and shows that a test catches each of them.

  npm run planted -- [--full] [--list] [name …]

A bug is caught when a test fails. The test files that are expected to catch it run first; if all of their tests pass,
everything that npm test runs decides. Exits with 1 if a bug survives. Without names it plants all ${bugs.length} bugs.

  --full    runs everything that npm test runs for each bug, and not the expected files first
  --list    prints the bugs, and plants none
  --help    prints this
`

const { values, positionals } = parse()
if (values.help) {
  process.stdout.write(help)
  process.exit()
}
const chosen = chosenBugs()
if (values.list) {
  for (const { name, file, promise } of chosen) console.log(`${name.padEnd(22)}${file}\n  ${promise}`)
  process.exit()
}

const copy = new Copy()
const tests = new Tests(copy.folder)
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(signal, async () => {
    await tests.stop()
    copy.remove()
    process.exit(code)
  })

const runnable = chosen.filter(({ name, cannotRun = '' }) => {
  if (cannotRun !== '') console.log(`skipped ${name}: ${cannotRun}`)
  return cannotRun === ''
})
let survived = 0
try {
  await refuseMisleading()
  for (const bug of runnable) {
    const began = performance.now()
    const catcher = await catcherOf(bug)
    if (catcher === undefined) survived++
    const result = catcher === undefined ? 'SURVIVED' : 'caught'
    const seconds = `${((performance.now() - began) / 1000).toFixed(1)} s`
    console.log(
      `${result.padEnd(8)} ${bug.name.padEnd(20)} ${seconds.padStart(8)}  ${catcher ? nameOf(catcher) : bug.promise}`,
    )
  }
  if (survived > 0) throw new Error(`${survived} of ${runnable.length} bugs survived: write the tests that catch them`)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  copy.remove()
}

/** Throws if a result would prove nothing: a bug is no valid program, or the tests fail without it. */
async function refuseMisleading(): Promise<void> {
  const takeBack = copy.plant(...runnable)
  const refused = await tests.types()
  takeBack()
  if (refused !== '') throw new Error(`Cannot plant these bugs: the type checker would find them\n${refused}`)
  console.log(`runs the tests of ${runnable.length} bugs without a bug`)
  const failed = await failedOf(values.full ? [] : [...new Set(runnable.flatMap(({ expected }) => expected))])
  if (failed) throw new Error(`Cannot plant bugs: a test fails without them\n${nameOf(failed)}`)
}

/** Returns the test that catches a bug; undefined if there is none. */
async function catcherOf(bug: Bug): Promise<FailedTest | undefined> {
  const takeBack = copy.plant(bug)
  try {
    const first = values.full ? undefined : await failedOf(bug.expected)
    if (first) return first
    if (!values.full) console.log(`${bug.name}: the expected tests pass; runs everything`)
    const other = await failedOf([])
    if (other && !(await failedOf([other.file]))) throw unstable(other)
    takeBack()
    if (other && (await failedOf([other.file]))) throw unstable(other)
    return other
  } finally {
    takeBack()
  }
}

/** The error for a test that fails whether or not the bug is there: it catches nothing, and hides what the tests after it would do. */
function unstable(test: FailedTest): Error {
  return new Error(`Cannot tell whether a test catches the bug: another test does not always pass\n${nameOf(test)}`)
}

/** Runs files, or without files everything, and returns the first test that fails. @throws if the tests cannot run */
async function failedOf(files: readonly string[]): Promise<FailedTest | undefined> {
  const { ran, failed, broken } = await tests.run(files)
  if (broken !== undefined) throw new Error(`Cannot run the tests\n${broken}`)
  if (ran === 0) throw new Error(`Cannot run the tests: there are none in ${files.join(' ')}`)
  return failed
}

function nameOf({ file, title }: FailedTest): string {
  return `${file}: ${title}`
}

function chosenBugs(): readonly Bug[] {
  if (positionals.length === 0) return bugs
  return positionals.map(
    (name) =>
      bugs.find((bug) => bug.name === name) ??
      refuse(`Cannot plant "${name}": expected one of ${bugs.map(({ name }) => name).join(', ')}`),
  )
}

function parse() {
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({ allowPositionals: true, options: { full: flag, list: flag, help: { ...flag, short: 'h' } } })
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

function refuse(why: string): never {
  console.error(`${why}\n\n${help}`)
  process.exit(2)
}
