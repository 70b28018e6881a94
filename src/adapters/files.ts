import { readFile as readBytes, readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, extname } from 'node:path'
import type { File } from '../routes/page.ts'

const PUBLIC = new URL('../../public/', import.meta.url)

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

let files: Promise<ReadonlyMap<string, File>> | undefined

/** Files of the optional dependency that renders /openapi.json at /docs. */
const SWAGGER_UI = ['swagger-ui-bundle.js', 'swagger-ui.css']

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
  const add = async (path: string, source: URL | string) => {
    const type = types[extname(source.toString())]
    if (type) found.set(path, { type, bytes: new Uint8Array(await readBytes(source)) })
  }
  for (const name of await readdir(PUBLIC)) await add(pathOf(name), new URL(name, PUBLIC))
  const swaggerUi = findSwaggerUi()
  for (const file of swaggerUi) await add(`/docs/${basename(file)}`, file)
  if (swaggerUi.length === 0) for (const path of ['/docs', '/docs.js']) found.delete(path)
  return found
}

/** The paths of the files that /docs needs; none if the dependency is not installed. */
function findSwaggerUi(): string[] {
  try {
    const { resolve } = createRequire(import.meta.url)
    return SWAGGER_UI.map((name) => resolve(`swagger-ui-dist/${name}`))
  } catch {
    return []
  }
}

function pathOf(name: string): string {
  if (name === 'index.html') return '/'
  return `/${name.replace(/\.html$/, '')}`
}
