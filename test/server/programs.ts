import { execFile } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'

interface Ended {
  readonly code: number
  readonly output: string
}

/** Runs a program to its end. It has the environment of the tests, where the settings of npm and pip may be. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<Ended> {
  const options = { cwd, env: { ...process.env, NO_COLOR: '1', CI: '1', ...env }, maxBuffer: 64 * 1024 ** 2 }
  return new Promise((resolve) =>
    execFile(command, args, options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) || 1 : 0, output: stdout + stderr }),
    ),
  )
}

/** What npm and pip say if they cannot reach their registry. */
const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|NewConnectionError|ReadTimeout/

/** Whether an installation failed because its registry cannot be reached. @throws if it failed for another reason */
export function isUnreachable({ code, output }: Ended): boolean {
  if (code === 0) return false
  if (UNREACHABLE.test(output)) return true
  throw new Error(`Cannot install: ${output}`)
}

/**
 * Installs the packages of a folder of the tests, as its lockfile has them, into another folder. The packages are many, and only these tests
 * need them.
 *
 * @param from a folder with a lockfile, by its path below `test/`
 * @returns false if the registry cannot be reached
 */
export async function install(from: string, folder: string): Promise<boolean> {
  for (const file of ['package.json', 'package-lock.json'])
    copyFileSync(join(import.meta.dirname, '..', from, file), join(folder, file))
  return !isUnreachable(await run('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--fetch-retries=1'], folder))
}

/**
 * Installs Python packages into an environment of their own.
 *
 * @param packages with their versions, such as `schemathesis==4.32.5`
 * @returns the path of a program of theirs, or why there is none
 */
export async function installPython(
  packages: readonly string[],
  folder: string,
): Promise<{ program(name: string): string } | { missing: string }> {
  const program = (name: string) => join(folder, 'venv', 'bin', name)
  const made = await run('python3', ['-m', 'venv', join(folder, 'venv')], folder)
  if (made.code !== 0) return { missing: 'needs python3 with venv' }
  const isNew = await run(program('python'), ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))'], folder)
  if (isNew.code !== 0) return { missing: 'needs Python 3.10 or newer' }
  const pip = ['install', '--quiet', '--retries', '1', ...packages]
  if (isUnreachable(await run(program('pip'), pip, folder))) return { missing: 'PyPI cannot be reached' }
  return { program }
}
