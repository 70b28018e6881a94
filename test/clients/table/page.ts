import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The page for those who write clients. */
export const page = join(import.meta.dirname, '..', '..', '..', 'src', 'routes', 'CLIENTS.md')

const measured = /(?<=^<!-- npm run clients -- --write -->\n\n).*(?=\n\n<!-- end -->$)/ms

/** What the page shows of the last measurement. */
export function shownOnPage(): string {
  return measured.exec(readFileSync(page, 'utf8'))?.[0] ?? ''
}

/** Puts a measurement on the page, in place of the last one. */
export function showOnPage(markdown: string): void {
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replace(measured, () => markdown),
  )
}
