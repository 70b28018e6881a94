import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')
export const deploy = join(root, '.github', 'deploy')

export function textOf(file: string): string {
  return readFileSync(join(deploy, file), 'utf8')
}

/** The documents of a YAML file, parsed by Bun. */
export function documentsOf<T>(file: string): T[] {
  const program = 'console.log(JSON.stringify([Bun.YAML.parse(process.env.FILE)].flat()))'
  const env = { ...process.env, FILE: textOf(file) }
  const { stdout, stderr } = spawnSync(join(root, 'node_modules', '.bin', 'bun'), ['-e', program], {
    env,
    encoding: 'utf8',
  })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout)
}

/** The arguments of an instruction of a Dockerfile, of its last stage, with lines that go on joined. */
export function instruction(name: string): string {
  const stage = textOf('Dockerfile')
    .replaceAll('\\\n', '')
    .split(/^FROM /m)
    .at(-1)!
  return new RegExp(`^${name} +(.*)$`, 'm').exec(stage)![1]!.trim()
}

/** The environment that the Dockerfile gives to the hub. */
export function imageEnv(): Record<string, string> {
  return pairs(instruction('ENV'))
}

/** `A=1 B=2` as an object. */
export function pairs(text: string): Record<string, string> {
  return Object.fromEntries([...text.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]))
}
