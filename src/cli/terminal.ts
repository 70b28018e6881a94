import { Buffer } from 'node:buffer'
import process from 'node:process'
import { styleText } from 'node:util'

/** A colour of the terminal; none where there is no terminal, or `NO_COLOR` is set. */
type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'dim'

type Output = 'stdout' | 'stderr'

/** Returns a text in a colour, as the output shows it. */
export function painted(colour: Colour, text: string, output: Output = 'stdout'): string {
  if (process.env.NO_COLOR || process.env.TERM === 'dumb' || !process[output].isTTY) return text
  return styleText(colour, text, { validateStream: false })
}

/** Writes a remark for the person at the terminal; nothing where there is none. */
export function remark(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${painted('dim', text, 'stderr')}\n`)
}

/** Escapes what could move the cursor or change the terminal in text of others, if stdout is a terminal. */
export function forTerminal(text: string): string {
  if (!process.stdout.isTTY) return text
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (c) => `\\x${Buffer.from(c, 'latin1').toString('hex')}`,
  )
}

/** A line at the terminal's foot about work that takes long; nothing where there is no terminal. */
export class Progress {
  readonly #isShown = process.stderr.isTTY === true && process.env.TERM !== 'dumb'

  show(text: string): void {
    if (this.#isShown) process.stderr.write(`\r\x1b[K${text}`)
  }

  clear(): void {
    if (this.#isShown) process.stderr.write('\r\x1b[K')
  }
}

/** Writes a size as a person reads it: `3.4 MiB`. */
export function sizeText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`
}
