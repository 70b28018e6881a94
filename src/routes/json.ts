import { AppError } from '../errors.ts'

/** Deepest nesting of JSON. */
const MAX_DEPTH = 32

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Parses JSON. @throws AppError `body_invalid` (malformed, nested deeper than 32, or with a number that no double holds) */
export function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AppError('body_invalid', 'Cannot read the body: it is not valid JSON', { cause })
  }
  check(value)
  return value
}

/** Checks a value level by level: deep nesting would overflow the stack of a recursive function. */
function check(value: unknown): void {
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new AppError('body_invalid', `Cannot read the body: its JSON is nested deeper than ${MAX_DEPTH}`)
    const next: unknown[] = []
    for (const value of level) {
      if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
        throw new AppError('body_invalid', 'Cannot read the body: its JSON has a number too large to keep')
      if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) next.push(inner)
    }
    level = next
  }
}

/**
 * Whether an invalid JSON text (RFC 8259) is the beginning of a valid one, because its sender was cut off. The errors of `JSON.parse` do
 * not reveal this, and differ among runtimes.
 */
export function isTruncatedJson(text: string): boolean {
  const tokens =
    /[ \t\n\r]*(?:([[\]{},:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|([^[\]{},:"\s]+)|(".*$))?/sy
  const open: string[] = []
  /** What may follow: a value, a member's name, a colon, or the end of a value. */
  let next: 'value' | 'first value' | 'name' | 'first name' | 'colon' | 'end' = 'value'
  const isValue = () => next === 'value' || next === 'first value'
  const isName = () => next === 'name' || next === 'first name'
  while (tokens.lastIndex < text.length) {
    const [whole, mark, string, word, unended] = tokens.exec(text)!
    const isLast = tokens.lastIndex === text.length
    if (whole === '') return false
    if (unended !== undefined) return (isValue() || isName()) && UNENDED_STRING.test(unended)
    if (string !== undefined) {
      if (!isValue() && !isName()) return false
      next = isName() ? 'colon' : 'end'
    } else if (word !== undefined) {
      if (!isValue()) return false
      if (!WORD.test(word)) return isLast && CUT_WORD.test(word)
      next = 'end'
    } else if (mark === '{' || mark === '[') {
      if (!isValue()) return false
      open.push(mark)
      next = mark === '{' ? 'first name' : 'first value'
    } else if (mark === '}' || mark === ']') {
      const isEmpty = next === (mark === '}' ? 'first name' : 'first value')
      if (open.pop() !== (mark === '}' ? '{' : '[') || (next !== 'end' && !isEmpty)) return false
      next = 'end'
    } else if (mark === ':') {
      if (next !== 'colon') return false
      next = 'value'
    } else if (mark === ',') {
      if (next !== 'end' || open.length === 0) return false
      next = open.at(-1) === '{' ? 'name' : 'value'
    }
    if (next === 'end' && open.length === 0 && !isLast && text.slice(tokens.lastIndex).trim() !== '') return false
  }
  return true
}

const WORD = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
const CUT_WORD = /^(?:t|tr|tru|f|fa|fal|fals|n|nu|nul|-|-?(?:0|[1-9]\d*)(?:\.|(?:\.\d+)?[eE][+-]?))$/
const UNENDED_STRING = /^"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*(?:\\(?:u[\da-fA-F]{0,3})?)?$/s
