import type { Context } from 'hono'
import type { Grant } from '../auth/authorize.ts'
import { AppError } from '../errors.ts'
import { prefixOf } from '../topic.ts'
import { mountOf } from './base.ts'

/** Returns the part of the path after `/<name>/`, decoded. @throws AppError `encoding_invalid` */
export function pathAfter(c: Context, name: string): string {
  try {
    const { pathname } = new URL(c.req.url)
    const before = `${mountOf(c)}/${name}`
    const segments = pathname.split('/').slice(before.split('/').length)
    return decodeURIComponent(segments.join('/'))
  } catch (cause) {
    throw new AppError('encoding_invalid', 'Cannot read the path: it is not percent-encoded UTF-8', { cause })
  }
}

/**
 * Returns prefixes that together cover all topics that begin with `requested` and that the grant allows. They are sorted, and no prefix
 * begins with another.
 */
export function prefixesOf({ subscribe }: Grant, requested: string): string[] {
  const granted = subscribe.map(prefixOf).sort()
  if (granted.some((prefix) => requested.startsWith(prefix))) return [requested]
  const prefixes: string[] = []
  for (const prefix of granted)
    if (prefix.startsWith(requested) && !prefixes.some((shorter) => prefix.startsWith(shorter))) prefixes.push(prefix)
  return prefixes
}
