import { AppError, quote } from '../errors.ts'

/**
 * The query of a URL as a `Request` has it, decoded strictly: what is not UTF-8 is refused instead of replaced.
 *
 * @throws AppError `encoding_invalid`
 */
export function parseQuery(url: string): URLSearchParams {
  const begin = url.indexOf('?')
  const end = url.indexOf('#')
  const search = begin < 0 ? '' : url.slice(begin + 1, end < 0 ? url.length : end)
  if (search.includes('%')) refuseMalformed(search)
  return new URLSearchParams(search)
}

function refuseMalformed(search: string): void {
  try {
    decodeURIComponent(search)
  } catch {
    throw new AppError(
      'encoding_invalid',
      'Cannot read the query: it is not percent-encoded UTF-8, write % itself as %25',
    )
  }
}

/** The one value of a parameter. @throws AppError `parameter_repeated` */
export function single(query: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = query.getAll(name)
  if (more.length > 0)
    throw new AppError('parameter_repeated', `Cannot use ${quote(name)} ${more.length + 1} times: give it once`)
  return value
}

/** Most names of a form or a query that is read whole: an object of thousands costs milliseconds (measured). */
const MAX_FIELDS = 100

/** Names and values as one gave them; a repeated name has a list. @throws AppError `too_many_fields` (more than 100 names) */
export function toFields(pairs: Iterable<[string, string]>): Record<string, string | string[]> {
  const fields = new Map<string, string | string[]>()
  for (const [name, value] of pairs) {
    const known = fields.get(name)
    if (known === undefined && fields.size === MAX_FIELDS)
      throw new AppError('too_many_fields', `Cannot use more than ${MAX_FIELDS} different fields`)
    if (known === undefined) fields.set(name, value)
    else if (typeof known === 'string') fields.set(name, [known, value])
    else known.push(value)
  }
  return Object.fromEntries(fields)
}
