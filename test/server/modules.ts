import { mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const installed = join(import.meta.dirname, '..', '..', 'node_modules')

/**
 * Gives a folder a `node_modules` of its own, with links to what is installed here: a command that removes or adds a package there
 * changes nothing here.
 *
 * @param isKept by path, such as `hono` or `.bin/node`
 */
export function linkModules(folder: string, isKept: (path: string) => boolean = () => true): void {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '.bin'), { recursive: true })
  const names = readdirSync(installed).filter((name) => !name.startsWith('.'))
  const commands = readdirSync(join(installed, '.bin')).map((name) => `.bin/${name}`)
  for (const path of [...names, ...commands].filter(isKept)) symlinkSync(join(installed, path), join(modules, path))
}
