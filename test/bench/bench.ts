import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { cleanUp } from '../server/server.ts'
import { clearProgress, progressOf } from './progress.ts'
import type { Measurements, Row } from './row.ts'
import { attacked } from './rows/attacked.ts'
import { clusterRow } from './rows/cluster.ts'
import { deaths } from './rows/deaths.ts'
import { fanout } from './rows/fanout.ts'
import { growth } from './rows/growth.ts'
import { memory } from './rows/memory.ts'
import { ndjson } from './rows/ndjson.ts'
import { publish } from './rows/publish.ts'
import { replay } from './rows/replay.ts'
import { resume } from './rows/resume.ts'
import { runs } from './rows/runs.ts'
import { start } from './rows/start.ts'
import { storm } from './rows/storm.ts'
import { variants } from './rows/variants.ts'
import { markdown } from './table.ts'

const rows: readonly Row[] = [
  fanout,
  variants,
  publish,
  storm,
  memory,
  growth,
  ndjson,
  resume,
  replay,
  attacked,
  start,
  clusterRow,
  runs,
  deaths,
]

const help = `Measures Tidings on this machine, with its own servers on free ports of 127.0.0.1, and prints tables.

  npm run bench -- [--json] [--url <hub>] [row …]

Compare the ratios: absolute figures depend on the machine and the hour. Nothing passes or fails.

${rows.map(({ name, says }) => `  ${name.padEnd(10)}${says}`).join('\n')}

  --json    prints JSON
  --url     measures a running hub; possible for these rows: ${rows.filter(({ anywhere }) => anywhere).map(({ name }) => name)}
  --help    prints this
`

const { values, positionals } = parse()
if (values.help) {
  process.stdout.write(help)
  process.exit()
}
const url = values.url?.replace(/\/+$/, '')
if (url !== undefined && !URL.canParse(url)) refuse(`Cannot measure "${url}": expected the URL of a hub`)
const wanted = wantedRows()
/** The load shows how busy the machine was before. */
const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, load ${loadavg()[0]!.toFixed(1)}`

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => cleanUp().finally(() => process.exit(1)))

try {
  const measured: (Pick<Row, 'name' | 'says'> & Measurements)[] = []
  if (!values.json) console.log(`${machine}\n`)
  for (const row of wanted) {
    const measurements = await row.run(progressOf(row.name), url)
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
      options: { help: { type: 'boolean' }, json: { type: 'boolean' }, url: { type: 'string' } },
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

function wantedRows(): readonly Row[] {
  const named = positionals.length === 0 ? rows : positionals.map(rowNamed)
  if (url === undefined) return named
  const can = named.filter(({ anywhere }) => anywhere)
  return can.length > 0 ? can : refuse('Cannot measure these rows with --url')
}

function rowNamed(name: string): Row {
  return rows.find((row) => row.name === name) ?? refuse(`Cannot measure "${name}": expected one of the rows below`)
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${help}`)
  process.exit(2)
}
