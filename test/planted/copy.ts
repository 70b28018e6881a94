import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyProject } from '../server/copy.ts'
import type { Bug } from './bugs.ts'

/** A copy of the project in a temporary folder, in which bugs are planted. The working tree is never touched. */
export class Copy {
  readonly folder = mkdtempSync(join(tmpdir(), 'planted-'))

  constructor() {
    copyProject(this.folder)
    // The tests of this folder look for the text that a bug replaces: they would fail for every bug.
    const planted = join(this.folder, 'test', 'planted')
    for (const name of readdirSync(planted).filter((name) => name.endsWith('.test.ts'))) rmSync(join(planted, name))
  }

  /** Puts bugs into the source. @returns a function that takes them back. @throws if the text of a bug does not occur once */
  plant(...bugs: readonly Bug[]): () => void {
    const files = [...new Set(bugs.map(({ file }) => join(this.folder, file)))]
    const before = files.map((file) => [file, readFileSync(file, 'utf8')] as const)
    const takeBack = () => {
      for (const [file, text] of before) writeFileSync(file, text)
    }
    try {
      for (const bug of bugs) {
        const file = join(this.folder, bug.file)
        writeFileSync(file, withBug(readFileSync(file, 'utf8'), bug))
      }
    } catch (error) {
      takeBack()
      throw error
    }
    return takeBack
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Returns the text of a file with a bug. @throws if the text of the bug does not occur once */
export function withBug(text: string, { name, file, line, replacement }: Bug): string {
  const [before, after, ...more] = text.split(line)
  if (after === undefined) throw new Error(`Cannot plant ${name}: ${file} does not contain "${line}" any more`)
  if (more.length > 0) throw new Error(`Cannot plant ${name}: ${file} contains "${line}" ${more.length + 1} times`)
  return `${before}${replacement}${after}`
}
