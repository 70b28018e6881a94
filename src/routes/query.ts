import * as v from 'valibot'
import { AppError, quote } from '../errors.ts'

/**
 * Decodes the query of a request's URL strictly: invalid UTF-8 is an error, and never becomes replacement characters.
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

/** Returns the value of a parameter that may be given once. @throws AppError `parameter_repeated` */
export function single(query: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = query.getAll(name)
  if (more.length > 0) throw repeated(name, more.length + 1)
  return value
}

/** The error of a name that is given more than once. */
export function repeated(name: string, times: number): AppError {
  return new AppError('parameter_repeated', `Cannot use ${quote(name)} ${times} times: give it once`)
}

/**
 * Parses a query by its schema, and ignores unknown parameters. Only a parameter whose schema is an array may be repeated.
 *
 * @throws AppError `parameter_repeated`, `parameter_invalid`
 */
export function parseParameters<Entries extends v.ObjectEntries>(
  schema: v.ObjectSchema<Entries, undefined>,
  query: URLSearchParams,
): v.InferOutput<v.ObjectSchema<Entries, undefined>> {
  const given: Record<string, unknown> = {}
  for (const [name, entry] of Object.entries(schema.entries)) {
    const values = query.getAll(name)
    if (values.length === 0) continue
    if (isList(entry)) given[name] = values
    else if (values.length === 1) given[name] = values[0]
    else throw repeated(name, values.length)
  }
  const found = v.safeParse(schema, given)
  if (found.success) return found.output
  const [issue] = found.issues
  const name = String(issue.path?.[0]?.key)
  throw new AppError(
    'parameter_invalid',
    `Cannot use ${quote(String(given[name]))} as ${name}: expected ${issue.message}`,
  )
}

function isList(schema: v.GenericSchema): boolean {
  let inner = schema as unknown as { type: string; wrapped?: v.GenericSchema }
  while (inner.wrapped) inner = inner.wrapped as unknown as typeof inner
  return inner.type === 'array'
}

/** Most different names of a form or a query. Comparing thousands, or building an object of so many, takes milliseconds (measured). */
export const MAX_FIELDS = 100

/** Returns the different names of a query. @throws AppError `too_many_fields` (more than 100) */
export function namesOf(query: URLSearchParams): ReadonlySet<string> {
  const names = new Set<string>()
  for (const name of query.keys()) if (names.add(name).size > MAX_FIELDS) throw tooManyFields()
  return names
}

/** Collects names and values; the values of a repeated name become a list. @throws AppError `too_many_fields` (more than 100 names) */
export function toFields(pairs: Iterable<[string, string]>): Record<string, string | string[]> {
  const fields = new Map<string, string | string[]>()
  for (const [name, value] of pairs) {
    const known = fields.get(name)
    if (known === undefined && fields.size === MAX_FIELDS) throw tooManyFields()
    if (known === undefined) fields.set(name, value)
    else if (typeof known === 'string') fields.set(name, [known, value])
    else known.push(value)
  }
  return Object.fromEntries(fields)
}

function tooManyFields(): AppError {
  return new AppError('too_many_fields', `Cannot use more than ${MAX_FIELDS} different fields`)
}
