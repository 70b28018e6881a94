import type { Client } from './clients.ts'
import { type Language, languageVersion, sourceOf, versionOf } from './languages.ts'
import { needed } from './lines.ts'
import type { Cell, Measured } from './measure.ts'
import type { Scene } from './scene.ts'

/** The programs, from the page that shows the table. */
const PROGRAMS = '../../test/clients/programs'

/** What was measured, as Markdown: the table, the clients' own faults, and the lines that clients need. */
export function markdown(measured: readonly Measured[], scenes: readonly Scene[], heading: string): string {
  const header = ['client', 'version', ...scenes.map(({ name }) => name), 'program']
  const rows = measured.map((one) => [
    one.client.name,
    version(one.client),
    ...(one.notRun === undefined
      ? scenes.map((scene) => text(one.client, scene, one.cells.get(scene)!))
      : [`not run: ${one.notRun}`, ...scenes.slice(1).map(() => '')]),
    link(one.client),
  ])
  const languages = [...new Set(measured.map(({ client }) => client.language))]
  const tables = languages.map((language) => {
    const ofLanguage = rows.filter((_, i) => measured[i]!.client.language === language)
    return `**${language.name}**\n\n${table(header, ofLanguage)}`
  })
  return [
    heading,
    scenes.map(({ name, says }) => `- **${name}**: ${says}.`).join('\n'),
    ...tables,
    faults(measured, scenes),
    ...measured.filter(({ cells }) => [...cells.values()].some(({ needsLines }) => needsLines)).map(lines),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** The version of a client, as the table shows it. */
export function version({ language, name }: Client): string {
  const pinned = versionOf(language, name) || languageVersion(language)
  return pinned.replace(/^0\.0\.0-(\d{4})(\d\d)(\d\d).*/, '$1-$2-$3') // Go's name of an untagged version
}

/** Whether a scene is wrong and no fault of the client explains it. */
export function isUnexplained({ faults }: Client, { name }: Scene, { isRight }: Cell): boolean {
  return !isRight && faults?.[name] === undefined
}

function text(client: Client, scene: Scene, cell: Cell): string {
  if (cell.isRight) return `✓ ${cell.says}${cell.needsLines ? ', with its lines' : ''}`
  return isUnexplained(client, scene, cell) ? `✗ unexplained: ${cell.says}` : `✗ ${cell.says}`
}

function faults(measured: readonly Measured[], scenes: readonly Scene[]): string {
  const told = measured.flatMap(({ client, cells }) =>
    scenes
      .filter((scene) => cells.get(scene)?.isRight === false)
      .flatMap(({ name }) =>
        (client.faults?.[name] ?? []).map(
          ({ says, link }) => `- ${client.name}, ${name}: it ${says} ([source](${link})).`,
        ),
      ),
  )
  return told.length === 0 ? '' : `A ✗ is the client's own fault:\n\n${told.join('\n')}`
}

function lines({ client }: Measured): string {
  const source = sourceOf(client.language, client.program)
  return `${client.name} (${client.language.name}):\n\n\`\`\`${fence(client.language)}\n${needed(source).join('\n')}\n\`\`\``
}

const fence = ({ extension }: Language) => ({ js: 'js', py: 'python', go: 'go', rs: 'rust', java: 'java' })[extension]

function link({ language, program }: Client): string {
  const file = `${program}.${language.extension}`
  return `[${file}](${PROGRAMS}/${language.name.toLowerCase()}/${file})`
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), `|${'---|'.repeat(header.length)}`, ...rows.map(line)].join('\n')
}
