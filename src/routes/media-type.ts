import { AppError, quote } from '../errors.ts'

// The `Content-Type` of a body (RFC 9110, 8.3): its essence, and the parameters `charset` and `boundary`.

/** Returns a content type without its parameters, in lower case: the essence of a MIME type. */
export function essenceOf(type: string): string {
  const end = type.indexOf(';')
  return (end < 0 ? type : type.slice(0, end)).trim().toLowerCase()
}

/** Whether a type is JSON: `application/json`, or a type with the suffix `+json` (RFC 6839, 3.1). */
export function isJson(essence: string): boolean {
  return essence === 'application/json' || /^[^/]+\/[^/]+\+json$/.test(essence)
}

const TEXTS = ['json', 'xml', 'yaml', 'x-yaml', 'ndjson', 'x-ndjson', 'javascript', 'x-www-form-urlencoded']

/** Whether bodies of a type are text: `text/…`, a type of `TEXTS`, one with the suffix of such a format (RFC 6839), or no type at all. */
export function isText(essence: string): boolean {
  const [main, subtype = ''] = essence.split('/')
  if (main === '' || main === 'text') return true
  return /\+(?:json|xml|yaml|jwt)$/.test(subtype) || (main === 'application' && TEXTS.includes(subtype))
}

/** Names of UTF-8 and of ASCII, because every ASCII text is UTF-8. */
const UTF_8 = ['utf-8', 'utf8', 'us-ascii']

/**
 * Throws if a content type declares another charset than UTF-8: decoding the body as UTF-8 would produce wrong characters.
 *
 * @throws AppError `content_type_unsupported`
 */
export function refuseCharset(type: string): void {
  for (const [, name, value = ''] of type.matchAll(/;\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]*)/g)) {
    const charset = value.replace(/^"(.*)"$/, '$1')
    if (name!.toLowerCase() === 'charset' && !UTF_8.includes(charset.toLowerCase()))
      throw new AppError(
        'content_type_unsupported',
        `Cannot read a body in charset ${quote(charset)}: send it as UTF-8, with charset=utf-8 or without a charset`,
      )
  }
}

/**
 * Returns the boundary of a multipart type: 1 to 70 characters (RFC 2046, 5.1.1). A type with two boundaries, or one that needs
 * unescaping, is refused: another parser could choose another boundary.
 *
 * @throws AppError `body_invalid`
 */
export function boundaryOf(type: string): string {
  const found = /;\s*boundary=(?:"([^"\\]{1,70})"|([^\s";]{1,70}))\s*(?:;|$)/i.exec(type)
  const boundary = found?.[1] ?? found?.[2]
  if (boundary !== undefined && type.split(/boundary=/i).length === 2) return boundary
  throw new AppError('body_invalid', 'Cannot read the body: expected multipart/form-data with one boundary')
}
