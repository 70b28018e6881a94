import { readFile as readBytes, readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, extname, join } from 'node:path'
import type { File } from '../routes/page.ts'

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

let files: Promise<ReadonlyMap<string, File>> | undefined

/** Files of the optional dependency that renders /openapi.json at /docs. */
const SWAGGER_UI = ['swagger-ui-dist/swagger-ui-bundle.js', 'swagger-ui-dist/swagger-ui.css']

/** Finds a file of `public/` by its exact path, `index.html` as `/`. The map is read once; no spelling of a path reaches other files. */
export async function readFile(path: string): Promise<File | undefined> {
  files ??= readAll().catch((cause) => {
    files = undefined // the next request tries again: there may have been no file descriptors
    throw cause
  })
  return (await files).get(path)
}

async function readAll(): Promise<ReadonlyMap<string, File>> {
  const found = new Map<string, File>()
  const add = async (path: string, source: string) => {
    const type = types[extname(source)]
    if (type) found.set(path, { type, bytes: new Uint8Array(await readBytes(source)) })
  }
  const [ofPackage] = find('tidings/package.json')
  const page = ofPackage === undefined ? undefined : join(dirname(ofPackage), 'public')
  if (page !== undefined) for (const name of await namesIn(page)) await add(pathOf(name), join(page, name))
  for (const file of find(...SWAGGER_UI)) await add(`/docs/${basename(file)}`, file)
  return found
}

/**
 * Finds files of packages, our own among them: a path from here would lead a bundle to a folder of the host. Without one of the files,
 * returns none. A bundle may run where no packages are installed, or in a format that has no `import.meta.url`.
 */
function find(...files: string[]): string[] {
  try {
    const { resolve } = createRequire(import.meta.url)
    return files.map((file) => resolve(file))
  } catch {
    return []
  }
}

/** The names of the files in a folder; none if there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function pathOf(name: string): string {
  if (name === 'index.html') return '/'
  return `/${name.replace(/\.html$/, '')}`
}
