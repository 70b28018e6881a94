import { writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { copyProject } from '../server/copy.ts'
import { folder } from '../server/server.ts'
import { Ports } from './ports.ts'
import { environmentOf, programFolders } from './shell.ts'
import type { Place } from './terminal.ts'

/** A fresh folder like a clone of the repository after `npm ci`, with free ports of its own. */
export class Clone implements Place {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
  readonly #ports: Ports

  private constructor(home: string, ports: Ports) {
    this.path = join(home, 'tidings')
    this.#ports = ports
    copyProject(this.path)
    // CI installs before it runs tests: a recipe that begins with `npm ci` goes on with what is installed.
    const npm = `#!/bin/sh\n[ "$1" = ci ] && exit 0\nPATH=$OTHER_PATH exec npm "$@"\n`
    writeFileSync(join(home, 'npm'), npm, { mode: 0o755 })
    // The Node of the machine comes first: it may be old, like that of a reader. A machine without Node gets the Node of the install.
    const others = [...programFolders, dirname(process.execPath)]
    this.env = { ...environmentOf(home, [home, ...others], ports), OTHER_PATH: others.join(delimiter) }
  }

  static async make(): Promise<Clone> {
    return new Clone(folder(), await Ports.make())
  }

  /** The text of a block with free ports in the place of those of the guide. */
  withFreePorts(text: string): string {
    return this.#ports.replacedIn(text)
  }
}
