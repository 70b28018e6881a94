import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { File } from '../routes/page.ts'

const PUBLIC = new URL('../../public/', import.meta.url)

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

let files: Promise<ReadonlyMap<string, File>> | undefined

/** The page's files, read once: `public/` by exact path, `index.html` as `/`. */
export function readFiles(): Promise<ReadonlyMap<string, File>> {
  files ??= read()
  return files
}

async function read(): Promise<ReadonlyMap<string, File>> {
  const found = new Map<string, File>()
  for (const name of await readdir(PUBLIC)) {
    const type = types[extname(name)]
    if (!type) continue
    const bytes = new Uint8Array(await readFile(new URL(name, PUBLIC)))
    found.set(name === 'index.html' ? '/' : `/${name}`, { type, bytes })
  }
  return found
}
