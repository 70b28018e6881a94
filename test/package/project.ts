import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyProject } from '../server/copy.ts'
import { isUnreachable, run } from '../server/programs.ts'
import { folder } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')

/** What package.json says that the tests need. */
export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly engines: { readonly node: string }
  readonly devDependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly 'tidings-source': string }>>
}

/** The subpaths that a program imports, such as `tidings/node`. */
export const subpaths = Object.keys(manifest.exports)
  .filter((name) => name !== './package.json')
  .map((name) => name.replace(/^\./, 'tidings'))

/** What the hooks need, and its types, as `npm install` takes them. A program without hooks needs none of these. */
export const forHooks = ['react', '@types/react', 'vue'].map((name) => `${name}@${manifest.devDependencies[name]}`)

/** Packs a copy of the repository as for the registry, with the build that this does first. @returns the path of the tarball */
export async function pack(): Promise<string> {
  const copy = folder()
  copyProject(copy)
  const { code, output } = await run('npm', ['pack', '--silent'], copy)
  if (code !== 0) throw new Error(`Cannot pack: ${output}`)
  return join(copy, `tidings-${manifest.version}.tgz`)
}

/** A project outside of the repository. */
export class Project {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /** Makes an empty project that installs packages, or says that it cannot because the registry is out of reach. */
  static async make(...packages: string[]): Promise<Project | undefined> {
    const project = new Project(folder())
    project.write('package.json', '{ "name": "project", "private": true }')
    const args = ['install', '--ignore-scripts', '--prefer-offline', '--fetch-retries=1', ...packages]
    return isUnreachable(await run('npm', args, project.path)) ? undefined : project
  }

  /** Writes a file. @returns its path */
  write(name: string, text: string): string {
    const file = join(this.path, name)
    writeFileSync(file, text)
    return file
  }

  /** The path of a package that is installed. */
  module(name: string): string {
    return join(this.path, 'node_modules', name)
  }

  /** Runs a program in the project. @returns what it prints @throws if its exit code is not 0 */
  async run(command: string, ...args: string[]): Promise<string> {
    const { code, output } = await run(command, args, this.path)
    if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${output}`)
    return output
  }
}
