/** Marks the lines that the author of a client's program adds for the hub. */
const MARK = /\s*(?:\/\/|#) needed$/

/** The program without the lines that are needed. */
export function plain(source: string): string {
  return source
    .split('\n')
    .filter((line) => !MARK.test(line))
    .join('\n')
}

/** The lines that are needed, without their marks and their common indentation. */
export function needed(source: string): string[] {
  const lines = source.split('\n').flatMap((line) => (MARK.test(line) ? [line.replace(MARK, '')] : []))
  const indentation = Math.min(...lines.map((line) => line.search(/\S/)))
  return lines.map((line) => line.slice(indentation))
}
