import * as v from 'valibot'

// Each of these schemas has two uses: a route checks a value with it, and /openapi.json describes the value with it.

/** Adds a description and an example to a schema. */
export function described<Schema extends v.GenericSchema>(schema: Schema, description: string, example?: unknown) {
  return v.pipe(schema, v.description(description), v.metadata(example === undefined ? {} : { examples: [example] }))
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
