import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isUnreachable, run } from '../server/programs.ts'
import { folder } from '../server/server.ts'
import { root, textOf } from './guide.ts'
import { Ports } from './ports.ts'
import { environmentOf, programFolders } from './shell.ts'
import type { Place } from './terminal.ts'

/** How the guides call the command, in a project that has the package, on one runtime. */
export interface Calls {
  readonly command: string
  /** For a server that a script signals. */
  readonly server: string
  /** How the runtime runs a program of the project. */
  readonly program: string
}

const [node, bun, deno] = codesOf('the package, in a project')
const [signalled] = codesOf('the package, for a server that a script signals')

export const calls: Readonly<Record<string, Calls>> = {
  Node: { command: node!, server: signalled!, program: 'node' },
  Bun: { command: bun!, server: bun!, program: 'bun' },
  Deno: { command: deno!, server: deno!, program: deno!.replace(/ npm:tidings$/, '') },
}

/** What a row of the table of the command line's guide shows as code. */
function codesOf(row: string): string[] {
  const cell = textOf('src/cli/README.md')
    .split('\n')
    .find((line) => line.startsWith(`| ${row}`))!
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
}

/** The project of somebody who has the tarball and the guides, beside a folder `tidings` as in the README, and no repository. */
export class Stranger implements Place {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
  readonly #ports: Ports

  private constructor(home: string, ports: Ports) {
    this.path = join(home, 'project')
    this.#ports = ports
    const bin = join(home, 'bin')
    for (const place of [this.path, bin]) mkdirSync(place)
    for (const name of ['bun', 'bunx', 'deno']) symlinkSync(join(root, 'node_modules', '.bin', name), join(bin, name))
    symlinkSync(process.execPath, join(bin, 'node'))
    writeFileSync(join(this.path, 'package.json'), '{ "private": true, "type": "module" }')
    this.env = { ...environmentOf(home, [bin, ...programFolders], ports), npm_config_prefer_offline: 'true' }
  }

  /** Installs the tarball as the README says, and the packages of a host. @returns undefined if the registry cannot be reached */
  static async make(tarball: string, ...packages: string[]): Promise<Stranger | undefined> {
    const home = folder()
    const stranger = new Stranger(home, await Ports.make())
    mkdirSync(join(home, 'tidings'))
    copyFileSync(tarball, join(home, 'tidings', basename(tarball)))
    const [, install] = /`(npm install \S+\.tgz[^`]*)`/.exec(textOf('README.md'))!
    const command = `${install} --fetch-retries=1 ${packages.join(' ')}`
    const installed = await run('sh', ['-c', command], stranger.path, stranger.env)
    return isUnreachable(installed) ? undefined : stranger
  }

  /** Makes another project with what is installed here. */
  async another(): Promise<Stranger> {
    const other = new Stranger(folder(), await Ports.make())
    await cp(this.path, other.path, { recursive: true, verbatimSymlinks: true })
    return other
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), this.withFreePorts(text))
  }

  /** Deletes the log of the hubs that ran here. */
  forget(): void {
    rmSync(join(this.path, 'data'), { recursive: true })
  }

  withFreePorts(text: string): string {
    return this.#ports.replacedIn(text)
  }
}

/** A block for a clone of the repository, as the guide says to call the command from the package. */
export function fromPackage(block: string, { command, server }: Calls): string {
  return block
    .split('\n')
    .map((line) => line.replace(/npm run -s tidings( --)?/, line.endsWith('&') ? server : command))
    .join('\n')
}
