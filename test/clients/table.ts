import { parseArgs } from 'node:util'
import { cleanUp } from '../server/server.ts'
import { type Client, clients } from './table/clients.ts'
import { cache, languages, languageVersion, withoutLanguage } from './table/languages.ts'
import { isUnexplained, markdown, version } from './table/markdown.ts'
import { type Measured, measure } from './table/measure.ts'
import { showOnPage } from './table/page.ts'
import { scenes } from './table/scenes/scenes.ts'

/** Clients that are measured at the same time: they mostly wait. */
const AT_ONCE = 4

const help = `Measures public clients against hubs on Node, on free ports of 127.0.0.1, and prints a table.

  npm run clients -- [--write] [language or client …]

Installs the clients with npm, pip, go, cargo and Maven, in the versions of test/clients/programs, into
${cache}. Needs the registries the first time, and about a quarter of an hour each time.
Clients of a language that this machine does not have are not run.

${languages.map(({ name }) => `  ${name.padEnd(12)}${programsOf(name)}`).join('\n')}

  --write   puts the table into src/routes/CLIENTS.md
  --help    prints this

Exits with 1 if a client is wrong and none of its known faults (test/clients/table/clients.ts) explains it.
`

const { values, positionals } = parse()
if (values.help) {
  process.stdout.write(help)
  process.exit()
}
if (values.write && positionals.length > 0) refuse('Cannot write some clients: --write measures all of them')
const chosen = clients.filter((client) => positionals.length === 0 || positionals.some((name) => isNamed(client, name)))
for (const name of positionals)
  if (!clients.some((client) => isNamed(client, name)))
    refuse(`Cannot measure "${name}": expected one of the names below`)

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => cleanUp().finally(() => process.exit(1)))

try {
  const measured = new Map<Client, Measured>()
  const queue = [...chosen]
  const work = async () => {
    for (let client = queue.shift(); client; client = queue.shift()) {
      const { language, program } = client
      const name = `${language.name} ${program}`
      const one = await measure(client, scenes, (text) => process.stderr.write(`${name}: ${text}\n`))
      measured.set(client, one)
      process.stderr.write(`${name}: ${one.notRun ?? 'measured'} (${measured.size} of ${chosen.length})\n`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  const results = chosen.map((client) => measured.get(client)!)
  const text = markdown(results, scenes, heading(results))
  console.log(text)
  if (values.write) showOnPage(text)
  const unexplained = results.flatMap(({ client, cells }) =>
    [...cells]
      .filter(([scene, cell]) => isUnexplained(client, scene, cell))
      .map(([{ name }]) => `${client.name} ${name}`),
  )
  if (unexplained.length > 0) {
    process.stderr.write(`No fault of theirs explains: ${unexplained.join(', ')}\n`)
    process.exitCode = 1
  }
} finally {
  await cleanUp()
}

/** When and with which versions it was measured. */
function heading(results: readonly Measured[]): string {
  const used = languages.filter((language) =>
    results.some(({ client, notRun }) => client.language === language && notRun === undefined),
  )
  const versions = used.map((language) => {
    const name = { Browser: 'Chromium', JavaScript: 'Node' }[language.name] ?? language.name
    return `${name} ${languageVersion(language)}`
  })
  const date = new Date().toISOString().slice(0, 10)
  const count = results.filter(({ notRun }) => notRun === undefined).length
  return `Measured on ${date}: ${count} clients, with ${versions.join(', ')}.`
}

function isNamed({ language, name, program }: Client, wanted: string): boolean {
  return [language.name.toLowerCase(), name, program].includes(wanted) || language.name === wanted
}

function programsOf(language: string): string {
  const ofLanguage = clients.filter((client) => client.language.name === language)
  const lacks = withoutLanguage(ofLanguage[0]!.language)
  return ofLanguage.map((client) => `${client.program} ${version(client)}`).join(', ') + (lacks && ` (${lacks})`)
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { help: { type: 'boolean' }, write: { type: 'boolean' } },
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${help}`)
  process.exit(2)
}
