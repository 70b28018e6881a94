import { cpSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { linkModules } from '../server/modules.ts'
import { folder, freePort } from '../server/server.ts'
import { root } from './guide.ts'

/** What a working copy has that a clone does not. */
const LOCAL = ['.git', '.wrangler', 'coverage', 'data', 'node_modules']

/** Ports that guides name; in a clone each is a free one. */
const PORTS = ['3000', '3001', '3002', '6379', '8080']

/** A fresh folder like a clone of the repository after `npm ci`, with free ports of its own. */
export class Clone {
  readonly path: string
  /** The environment of the reader's shell. */
  readonly env: Readonly<Record<string, string>>
  readonly #ports: ReadonlyMap<string, number>

  private constructor(home: string, ports: ReadonlyMap<string, number>) {
    this.path = join(home, 'tidings')
    this.#ports = ports
    for (const name of readdirSync(root).filter((name) => !LOCAL.includes(name)))
      cpSync(join(root, name), join(this.path, name), { recursive: true })
    linkModules(this.path)
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
      PORT: `${ports.get('3000')}`,
      WARM_UP: 'false',
      NO_COLOR: '1',
      CI: '1',
    }
  }

  static async make(): Promise<Clone> {
    const ports = new Map<string, number>()
    for (const port of PORTS) ports.set(port, await freePort())
    return new Clone(folder(), ports)
  }

  /** The text of a block with free ports in the place of those of the guide. */
  withFreePorts(text: string): string {
    return text.replace(new RegExp(`\\b(${PORTS.join('|')})\\b`, 'g'), (port) => `${this.#ports.get(port)}`)
  }
}
