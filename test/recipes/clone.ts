import { writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { copyProject } from '../server/copy.ts'
import { folder } from '../server/server.ts'
import { Ports } from './ports.ts'
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
    writeFileSync(join(home, '.curlrc'), 'no-progress-meter\n') // curl shows a progress meter if it does not write to a terminal
    const path = (process.env.PATH ?? '').split(delimiter).filter((place) => !place.includes('node_modules'))
    // The Node of the machine comes first: it may be old, like that of a reader. A machine without Node gets the Node of the install.
    const others = [...path, dirname(process.execPath)].join(delimiter)
    this.env = {
      PATH: `${home}${delimiter}${others}`,
      OTHER_PATH: others,
      HOME: process.env.HOME ?? '',
      CURL_HOME: home,
      PORT: ports.replacedIn('3000'),
      WARM_UP: 'false',
      NO_COLOR: '1',
      CI: '1',
    }
  }

  static async make(): Promise<Clone> {
    return new Clone(folder(), await Ports.make())
  }

  /** The text of a block with free ports in the place of those of the guide. */
  withFreePorts(text: string): string {
    return this.#ports.replacedIn(text)
  }
}
