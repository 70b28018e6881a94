import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const programs = join(import.meta.dirname, '..', 'programs')

/** Where packages are installed and programs are built. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidings', 'clients')

/** A program with the lines that its client needs, or without them. */
export type Variant = 'plain' | 'needed'

/** How the programs of one language are installed, built and run. */
export interface Language {
  readonly name: string
  /** The ending of its programs. */
  readonly extension: string
  /** The files that pin the versions of its packages. */
  readonly manifests: readonly string[]
  /** Prints the version of the language. */
  readonly version: readonly string[]
  /** Installs what the manifests in a folder name. */
  install(place: string): void
  /** Builds a program from its source in a folder, and returns the command that runs it. */
  build(place: string, program: string, variant: Variant, source: string): readonly string[]
}

export const javascript: Language = {
  name: 'JavaScript',
  extension: 'js',
  manifests: ['package.json'],
  version: [process.execPath, '--version'],
  install: (place) => run(place, ['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts']),
  build: (place, program, variant, source) => [
    process.execPath,
    ...['--disable-warning=ExperimentalWarning', write(place, `${variant}-${program}.js`, source)],
  ],
}

/** Programs of a page; they run in Chromium. */
export const browser: Language = {
  ...javascript,
  name: 'Browser',
  version: [process.env.CHROMIUM ?? 'chromium', '--version'],
  build: (place, program, variant, source) => [
    process.execPath,
    ...[join(import.meta.dirname, 'in-page.ts'), write(place, `${variant}-${program}.js`, source)],
  ],
}

export const python: Language = {
  name: 'Python',
  extension: 'py',
  manifests: ['requirements.txt'],
  version: ['python3', '--version'],
  install(place) {
    run(place, ['python3', '-m', 'venv', 'venv'])
    run(place, ['venv/bin/pip', 'install', '--disable-pip-version-check', '-r', 'requirements.txt'])
  },
  build: (place, program, variant, source) => [
    join(place, 'venv', 'bin', 'python'),
    ...['-u', write(place, `${variant}-${program}.py`, source)],
  ],
}

export const go: Language = {
  name: 'Go',
  extension: 'go',
  manifests: ['go.mod', 'go.sum'],
  version: ['go', 'version'],
  install: (place) => run(place, ['go', 'mod', 'download']),
  build(place, program, variant, source) {
    const built = join(place, 'bin', `${variant}-${program}`)
    write(place, `${variant}/${program}/main.go`, source)
    run(place, ['go', 'build', '-o', built, `./${variant}/${program}`])
    return [built]
  },
}

export const rust: Language = {
  name: 'Rust',
  extension: 'rs',
  manifests: ['Cargo.toml'],
  version: ['cargo', '--version'],
  install: () => {},
  build(place, program, variant, source) {
    const name = `${variant}-${program}`
    write(place, `src/bin/${name}.rs`, source)
    run(place, ['cargo', 'build', '--quiet', '--bin', name])
    return [join(place, 'target', 'debug', name)]
  },
}

export const java: Language = {
  name: 'Java',
  extension: 'java',
  manifests: ['pom.xml'],
  version: ['javac', '--version'],
  install: (place) =>
    run(place, ['mvn', '--batch-mode', '--quiet', 'dependency:copy-dependencies', '-DoutputDirectory=lib']),
  build(place, program, variant, source) {
    const classes = join(place, 'classes', `${variant}-${program}`)
    const file = write(place, `${variant}/${program}.java`, source)
    run(place, ['javac', '-proc:none', '-cp', 'lib/*', '-d', classes, file])
    return ['java', '-XX:TieredStopAtLevel=1', '-cp', [join(place, 'lib', '*'), classes].join(delimiter), 'Client']
  },
}

export const languages: readonly Language[] = [browser, javascript, python, go, rust, java]

/** The source of a client's program. */
export function sourceOf(language: Language, program: string): string {
  return readFileSync(join(folderOf(language), `${program}.${language.extension}`), 'utf8')
}

/** The programs that a language has, by name. */
export function programsOf(language: Language): string[] {
  const ending = `.${language.extension}`
  return readdirSync(folderOf(language))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
}

/** The pinned version of a package, as its manifest has it. */
export function versionOf(language: Language, name: string): string {
  const text = readFileSync(join(folderOf(language), language.manifests[0]!), 'utf8')
  const quoted = name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  const found = new RegExp(`(?<![\\w/.-])${quoted}(?![\\w/.-])[^\\n]*?\\n?[^\\n\\d]*?(\\d[\\w.+-]*)`).exec(text)
  return found?.[1] ?? ''
}

/** The folder in which a language's programs are built, with everything installed that the manifests name. */
export function installed(language: Language): string {
  const place = join(cache, language.name.toLowerCase())
  const hash = createHash('sha256')
  for (const name of language.manifests) hash.update(readFileSync(join(folderOf(language), name)))
  const stamp = join(place, `installed-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(stamp)) return place
  mkdirSync(place, { recursive: true })
  for (const name of language.manifests) cpSync(join(folderOf(language), name), join(place, name))
  language.install(place)
  writeFileSync(stamp, '')
  return place
}

/** Why programs of a language cannot run on this machine; '' if they can. */
export function withoutLanguage({ version: [command, ...args] }: Language): string {
  return spawnSync(command!, args).error ? `this machine has no ${command}` : ''
}

/** The version of a language on this machine, like `1.26.8`. */
export function languageVersion({ version: [command, ...args] }: Language): string {
  const { stdout } = spawnSync(command!, args, { encoding: 'utf8' })
  return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? ''
}

function folderOf({ name }: Language): string {
  return join(programs, name.toLowerCase())
}

function write(place: string, name: string, text: string): string {
  const file = join(place, name)
  mkdirSync(dirname(file), { recursive: true })
  // A build is skipped if the file is not newer.
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text)
  return file
}

function run(cwd: string, [command, ...args]: readonly string[]): void {
  const { status, error, stdout, stderr } = spawnSync(command!, args, { cwd, encoding: 'utf8' })
  if (status === 0) return
  const says = `${error?.message ?? ''}${stderr}${stdout}`
  const line = says.split('\n').find((text) => /error/i.test(text)) ?? says.split('\n')[0]
  throw new Error(`${command} ${args[0]} failed: ${line?.trim()}`, { cause: says })
}
