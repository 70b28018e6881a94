import type { Measurements, Row } from './row.ts'

type Cell = string | number | undefined

/** The measurements of a row, as Markdown. */
export function markdown({ name, says }: Row, { lines, ratios, notes = [] }: Measurements): string {
  const columns = Object.keys(lines[0] ?? {})
  const parts = [
    `### ${name}`,
    says,
    table(
      columns,
      lines.map((line) => columns.map((column) => line[column])),
    ),
    table(
      ['ratio', 'measured', 'goal'],
      ratios.map(({ of, value, goal }) => [of, value, goal ?? '']),
    ),
    notes.map((note) => `- ${note}`).join('\n'),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

function table(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  if (rows.length === 0) return ''
  const isNumber = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number'))
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = `|${isNumber.map((is) => (is ? '--:' : '---')).join('|')}|`
  return [line(columns), rule, ...rows.map((row) => line(row.map(text)))].join('\n')
}

/** Three significant digits, because the others change with each run. */
function text(cell: Cell): string {
  if (cell === undefined) return '–'
  if (typeof cell === 'string') return cell
  const digits = cell >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 }
  return cell.toLocaleString('en', digits)
}
