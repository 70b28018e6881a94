import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')

/** The guides: every page for readers, by its path in the repository. */
export const guides = globSync(['*.md', '.github/*.md', 'public/*.md', 'src/**/*.md', 'test/**/*.md'], {
  cwd: root,
}).sort()

/** A fenced block of a guide. */
export interface Block {
  /** The language that the fence names, such as `sh`, `ts` or `yaml`; '' if the fence names none. */
  readonly language: string
  readonly text: string
  /** The line of the guide in which the block begins, for messages. */
  readonly line: number
}

export function textOf(guide: string): string {
  return readFileSync(join(root, guide), 'utf8')
}

export function blocksOf(guide: string): Block[] {
  const text = textOf(guide)
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((found) => ({
    language: found[1]!,
    text: found[2]!,
    line: text.slice(0, found.index).split('\n').length,
  }))
}

/** The name that the first line of a block gives to its file, as in `// server.ts` or `# compose.yaml`. */
export function fileOf({ text }: Block): string | undefined {
  return /^(?:\/\/|#) (\S+\.\w+)$/m.exec(text.split('\n', 1)[0]!)?.[1]
}
