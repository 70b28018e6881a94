import { cpSync, existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pack } from '../package/project.ts'
import { root } from '../recipes/guide.ts'

/** Adds the package, as it would be published, and what it depends on to a project: bundlers take no links that lead out of its folder. */
export async function installPackage(project: string): Promise<void> {
  copyDependencies('.', project)
  const tidings = join(project, 'node_modules', 'tidings')
  cpSync(join(dirname(await pack()), 'dist'), join(tidings, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(tidings, 'package.json'))
}

/** Copies the dependencies of a package, and theirs. */
function copyDependencies(of: string, project: string): void {
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, of, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    const from = join('node_modules', name)
    if (existsSync(join(project, from)) || !existsSync(join(root, from))) continue
    cpSync(join(root, from), join(project, from), { recursive: true })
    copyDependencies(from, project)
  }
}
