import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { cleanUp } from '../server/server.ts'
import { clearProgress, progressOf } from './progress.ts'
import type { Measurements, Row } from './row.ts'
import { ndjson } from './rows/ndjson.ts'
import { replay } from './rows/replay.ts'
import { resume } from './rows/resume.ts'
import { markdown } from './table.ts'

const rows: readonly Row[] = [ndjson, resume, replay]

const help = `Measures Tidings on this machine, with servers of its own on free ports of 127.0.0.1, and prints tables.

  node test/bench/bench.ts [--json] [row …]

Look at the ratios: times are of this machine and this hour. Nothing passes or fails.

${rows.map(({ name, says }) => `  ${name.padEnd(10)}${says}`).join('\n')}

  --json    prints JSON
  --help    prints this
`

const { values, positionals } = parse()
if (values.help) {
  process.stdout.write(help)
  process.exit()
}
const wanted = positionals.length === 0 ? rows : positionals.map(rowNamed)
/** The load is what others had it do before. */
const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, load ${loadavg()[0]!.toFixed(1)}`

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => cleanUp().finally(() => process.exit(1)))

try {
  const measured: (Pick<Row, 'name' | 'says'> & Measurements)[] = []
  if (!values.json) console.log(`${machine}\n`)
  for (const row of wanted) {
    const measurements = await row.run(progressOf(row.name))
    clearProgress()
    measured.push({ name: row.name, says: row.says, ...measurements })
    if (!values.json) console.log(`${markdown(row, measurements)}\n`)
  }
  if (values.json) console.log(JSON.stringify({ machine, rows: measured }, undefined, 2))
} finally {
  await cleanUp()
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { help: { type: 'boolean' }, json: { type: 'boolean' } },
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

function rowNamed(name: string): Row {
  return rows.find((row) => row.name === name) ?? refuse(`Cannot measure "${name}": expected a row of those below`)
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${help}`)
  process.exit(2)
}
