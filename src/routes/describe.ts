import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import type { Code } from '../errors.ts'

// Parts of the descriptions of our routes, which are plain OpenAPI 3.1.

/** The id that examples show. */
export const ID = 'k3v9x0q2ab-17'

/** Errors of a route by the step that may throw them: it reads a body or a query, checks a grant, takes a topic, or appends. */
export const codesOf = {
  body: [
    'body_invalid',
    'body_too_large',
    'body_too_slow',
    'content_type_unsupported',
    'encoding_invalid',
    'too_many_fields',
  ],
  query: ['encoding_invalid', 'parameter_invalid', 'parameter_repeated'],
  grant: ['forbidden', 'keys_unavailable', 'log_unavailable', 'log_unusable', 'token_invalid', 'token_missing'],
  topic: ['topic_invalid', 'topic_too_long'],
  append: [
    ...(['event_too_large', 'key_conflict', 'key_invalid', 'message_invalid'] as const),
    ...(['outcome_unknown', 'overloaded', 'log_unavailable', 'log_unusable', 'rate_limited'] as const),
  ],
} as const satisfies Record<string, readonly Code[]>

type Query = v.ObjectSchema<v.ObjectEntries, undefined>

/** Describes the parameters of a query by the schema that parses the query. */
export function parametersOf(query: Query): object[] {
  const { properties = {} } = querySchema(query)
  return Object.entries(properties).map(([name, property]) => {
    const { description, examples, ...schema } = property as JsonSchema
    const [example] = Array.isArray(examples) ? examples : []
    return { name, in: 'query', description, schema, ...(example !== undefined && { example }) }
  })
}

/** Returns the JSON Schema of a query, with the types of the values that the text of its parameters stands for. */
export function querySchema(query: Query): JsonSchema {
  const described = schemaOf(query)
  for (const [name, entry] of Object.entries(query.entries)) {
    const schema = v.unwrap(entry as v.OptionalSchema<v.GenericSchema, undefined>)
    const { shape, examples } = v.getMetadata(schema) as { shape?: JsonSchema; examples?: [] }
    const description = v.getDescription(schema)
    if (shape)
      described.properties![name] = { ...shape, ...(description && { description }), ...(examples && { examples }) }
  }
  return described
}

/** Converts a valibot schema to the JSON Schema of its input. */
export function schemaOf(schema: v.GenericSchema): JsonSchema {
  const options = { target: 'draft-2020-12', typeMode: 'input', errorMode: 'ignore' } as const
  const { $schema: _, ...described } = toJsonSchema(schema, options)
  return described
}

/** Describes a parameter that is a header. */
export function header(name: string, description: string, schema: JsonSchema = { type: 'string' }) {
  return { name, in: 'header', description, schema }
}

/** Describes that at most one of these properties may be given. */
export function exclusive(names: readonly string[]) {
  const pairs = names.flatMap((name, i) =>
    names.slice(i + 1).map((other) => ({ properties: { [name]: {}, [other]: {} }, required: [name, other] })),
  )
  return { not: { anyOf: pairs } }
}

/** Describes a JSON response. */
export function json(description: string, schema: object) {
  return { description, content: { 'application/json': { schema } } }
}

/** Returns the schema of an object with these properties and no others. */
export function object<Properties extends object>(
  properties: Properties,
  required: readonly (keyof Properties & string)[],
) {
  return { type: 'object', properties, required, additionalProperties: false } as const
}

/** Returns a reference to a schema that any route describes. */
export function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` }
}
