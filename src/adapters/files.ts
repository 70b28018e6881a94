import { readFile as readBytes, readdir } from 'node:fs/promises'
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

/** Finds a file of `public/` by its exact path, `index.html` as `/`. A map, read once: what is not in it has no spelling that reaches it. */
export async function readFile(path: string): Promise<File | undefined> {
  files ??= readAll()
  return (await files).get(path)
}

async function readAll(): Promise<ReadonlyMap<string, File>> {
  const found = new Map<string, File>()
  for (const name of await readdir(PUBLIC)) {
    const type = types[extname(name)]
    if (!type) continue
    const bytes = new Uint8Array(await readBytes(new URL(name, PUBLIC)))
    found.set(name === 'index.html' ? '/' : `/${name}`, { type, bytes })
  }
  return found
}
