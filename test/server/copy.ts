import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { linkModules } from './modules.ts'

const root = join(import.meta.dirname, '..', '..')
/** What a working copy has that a clone does not. */
const LOCAL = ['.git', '.wrangler', 'coverage', 'data', 'dist', 'node_modules']

/** Makes a folder like a clone of the repository after `npm ci`. */
export function copyProject(folder: string): void {
  for (const name of readdirSync(root).filter((name) => !LOCAL.includes(name)))
    cpSync(join(root, name), join(folder, name), { recursive: true })
  linkModules(folder)
}
