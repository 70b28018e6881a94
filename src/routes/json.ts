import { AppError } from '../errors.ts'

/** Deepest nesting of JSON. */
const MAX_DEPTH = 32

/** @throws AppError `body_invalid` (malformed, nested deeper than 32, or with a number that no double holds) */
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

/** Level by level, because recursion is what deep nesting is sent to break. */
function check(value: unknown): void {
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new AppError('body_invalid', `Cannot read the body: its JSON is nested deeper than ${MAX_DEPTH}`)
    const next: unknown[] = []
    for (const one of level) {
      if (one === Number.POSITIVE_INFINITY || one === Number.NEGATIVE_INFINITY)
        throw new AppError('body_invalid', 'Cannot read the body: its JSON has a number too large to keep')
      if (typeof one === 'object' && one !== null) for (const inner of Object.values(one)) next.push(inner)
    }
    level = next
  }
}
