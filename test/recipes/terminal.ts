import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const open = new Set<Terminal>()

process.once('exit', () => {
  for (const terminal of open) terminal.kill()
})

/** Where the terminals of a reader begin. */
export interface Place {
  readonly path: string
  /** The environment of the reader's shell. */
  readonly env: Readonly<Record<string, string>>
}

/** The terminals of a reader, in one folder. */
export class Terminals {
  readonly #place: Place
  readonly #all: Terminal[] = []
  #current: Terminal | undefined

  constructor(place: Place) {
    this.#place = place
  }

  /** The terminal that the reader goes on in. */
  current(): Terminal {
    this.#current ??= this.open()
    return this.#current
  }

  /** Opens a terminal beside the others. */
  open(): Terminal {
    const terminal = new Terminal(this.#place.path, this.#place.env)
    this.#all.push(terminal)
    return terminal
  }

  /** Closes all terminals, and waits until everything that ran in them has ended. */
  async close(): Promise<void> {
    this.#current = undefined
    await Promise.all(this.#all.splice(0).map((terminal) => terminal.close()))
  }
}

/** A bash into which a reader pastes one block after another. */
class Terminal {
  readonly #shell: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #waiting = new Set<() => void>()
  #output = ''
  #pasted = 0

  constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.#shell = spawn('bash', ['--noprofile', '--norc'], {
      cwd: folder,
      env: { ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // a process group: everything that was started in it ends with it
    })
    this.#ended = once(this.#shell, 'exit')
    for (const pipe of [this.#shell.stdout!, this.#shell.stderr!])
      pipe.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        for (const look of this.#waiting) look()
      })
    // A reader sees a command fail; the test has to be told which.
    this.#shell.stdin!.write(`exec 2>&1\nset -E -o pipefail\ntrap 'echo "FAILED ($?): $BASH_COMMAND"' ERR\n`)
    open.add(this)
  }

  /** Pastes a block and returns what it prints until the prompt is back. @throws if a command of it fails, or if it takes too long */
  async paste(text: string, withinMs = 60_000): Promise<string> {
    const begin = this.#output.length
    const prompt = `PROMPT ${++this.#pasted}`
    this.#shell.stdin!.write(`${text}\necho '${prompt}'\n`)
    const [printed] = await this.#prints(new RegExp(`^[^]*?(?=${prompt}\n)`), begin, withinMs)
    if (/^FAILED /m.test(printed)) throw new Error(`A command fails:\n${text}\n${printed}`)
    return printed
  }

  /** Pastes a block that runs until the terminal is closed, and returns what it prints up to a match. */
  async leave(text: string, until: RegExp, withinMs = 60_000): Promise<string> {
    const begin = this.#output.length
    this.#shell.stdin!.write(`${text}\n`)
    await this.#prints(until, begin, withinMs)
    return this.#output.slice(begin)
  }

  /** Ends what runs in the terminal as a closing window does, and waits for the end. */
  async close(): Promise<void> {
    open.delete(this)
    this.#signal('SIGTERM')
    const timer = setTimeout(() => this.kill(), 10_000)
    await this.#ended
    // The children of the shell may take longer to end than the shell.
    while (this.#signal(0)) await new Promise((resolve) => setTimeout(resolve, 20))
    clearTimeout(timer)
  }

  kill(): void {
    this.#signal('SIGKILL')
  }

  /** Signals the whole group; false if all of it has ended. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.#shell.pid!, signal)
    } catch {
      return false
    }
  }

  #prints(pattern: RegExp, begin: number, withinMs: number): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (result: RegExpExecArray | Error) => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        if (result instanceof Error) reject(result)
        else resolve(result)
      }
      const look = () => {
        const found = pattern.exec(this.#output.slice(begin))
        if (found) settle(found)
      }
      const timer = setTimeout(
        () => settle(new Error(`Does not print ${pattern}, but:\n${this.#output.slice(begin)}`)),
        withinMs,
      )
      this.#waiting.add(look)
      look()
    })
  }
}
