import type { JsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { msOf } from './times.ts'

// Each of these schemas has two uses: a route checks a value with it, and /openapi.json describes the value with it.

/**
 * Adds a description and an example to a schema.
 *
 * @param more keywords of JSON Schema for what the hub checks elsewhere, with an error code of its own: see `shapes`
 */
export function described<Schema extends v.GenericSchema>(
  schema: Schema,
  description: string,
  example?: unknown,
  more: JsonSchema = {},
) {
  // A type with a name, because declarations cannot name those inside `JsonSchema`.
  const metadata: Readonly<Record<string, unknown>> = { ...more, ...(example !== undefined && { examples: [example] }) }
  return v.pipe(schema, v.description(description), v.metadata(metadata))
}

// A query holds text. `shape` is the JSON Schema of the value that the text stands for.

/** A whole number in a query. */
export function whole(description: string, minimum: number, maximum: number, example: number) {
  const expected = `a whole number from ${minimum} to ${maximum}`
  return v.pipe(
    v.string(),
    v.regex(/^\d{1,9}$/, expected),
    v.transform(Number),
    v.minValue(minimum, expected),
    v.maxValue(maximum, expected),
    v.description(description),
    v.metadata({ shape: { type: 'integer', minimum, maximum }, examples: [example] }),
  )
}

/**
 * A time in a query, such as `500ms`, `15s`, `10m` or `1h`. The value is in ms.
 *
 * @param pattern what texts of times between `minimum` and `maximum` match, and no others
 */
export function time(description: string, minimum: number, maximum: number, example: string, pattern: string) {
  const expected = `a time like 500ms, 15s, 10m or 1h, from ${minimum} to ${maximum} ms`
  return v.pipe(
    v.string(),
    v.regex(/^(0|[1-9]\d{0,8})(ms|s|m|h)$/, expected),
    v.transform(msOf),
    v.minValue(minimum, expected),
    v.maxValue(maximum, expected),
    v.description(description),
    v.metadata({ shape: { type: 'string', pattern }, examples: [example] }),
  )
}

/** `true` or `false` in a query. */
export function flag(description: string) {
  return v.pipe(
    v.string(),
    v.regex(/^(true|false)$/, 'true or false'),
    v.transform((given) => given === 'true'),
    v.description(description),
    v.metadata({ shape: { type: 'boolean' } }),
  )
}
