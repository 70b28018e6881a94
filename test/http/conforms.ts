import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { expect } from 'vitest'

interface Described {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>
}
interface Document {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, Described>> }>>>
  >
  readonly components: object
}

/** Checks answers against an OpenAPI description: their status and type are described, and their body matches its schema. */
export class Conforms {
  readonly #document: Document
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true })
  readonly #validators = new Map<string, ValidateFunction>()
  /** The number of answers checked. */
  checked = 0

  constructor(document: unknown) {
    this.#document = document as Document
    addFormats.default(this.#ajv)
    this.#ajv.addSchema(JSON.parse(JSON.stringify({ $id: 'openapi', components: this.#document.components })))
  }

  /** Checks an answer, unless its path or its method is not described; the hub refuses such a method. */
  async check(path: string, method: string, response: Response): Promise<void> {
    const { pathname } = new URL(path, 'http://hub')
    const template = this.#templateOf(pathname, method)
    const operation = template === undefined ? undefined : this.#document.paths[template]![method.toLowerCase()]
    if (!operation) return
    const what = `${method} ${pathname} → ${response.status}`
    const described = operation.responses[response.status]
    expect(described, `${what} is not described`).toBeDefined()
    const type = response.headers.get('content-type')?.split(';')[0] ?? ''
    if (!described!.content) {
      expect(type, `${what} has a body`).toBe('')
      return
    }
    expect(Object.keys(described!.content), `${what}: type`).toContain(type)
    this.checked++
    if (!/json/.test(type)) return
    const validate = this.#validatorOf(
      `${method} ${template} ${response.status} ${type}`,
      described!.content[type]!.schema,
    )
    const value = await response.clone().json()
    expect(validate(value), `${what}: ${JSON.stringify(value)} ${this.#ajv.errorsText(validate.errors)}`).toBe(true)
  }

  #templateOf(pathname: string, method: string): string | undefined {
    if (this.#document.paths[pathname]) return pathname
    if (!pathname.startsWith('/topics/')) return
    return method === 'DELETE' && /\/[a-z0-9]{10}-\d+$/.test(pathname) ? '/topics/{topic}/{id}' : '/topics/{topic}'
  }

  #validatorOf(answer: string, schema: object): ValidateFunction {
    const known = this.#validators.get(answer)
    if (known) return known
    const text = JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components')
    const made = this.#ajv.compile(JSON.parse(text))
    this.#validators.set(answer, made)
    return made
  }
}
