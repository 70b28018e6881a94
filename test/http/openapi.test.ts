import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { statuses } from '../../src/errors.ts'
import app from '../../src/index.ts'
import { PAGES } from '../../src/routes/page.ts'

const document = (await (await app.request('/openapi.json')).json()) as {
  paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>
}

test('a public validator accepts the description as OpenAPI 3.1', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never)
  expect(errors).toBeUndefined()
  expect(valid).toBe(true)
  expect(document).toMatchObject({ openapi: expect.stringMatching(/^3\.1\./) })
})

test('the description lists every method of every route', async () => {
  const paths = app.routes
    .map(({ path }) => path)
    .filter((path) => path !== '/*' && !PAGES.includes(path) && path !== '')
  expect(paths.length).toBeGreaterThan(10)
  for (const path of paths) {
    const template = path.replace(/:(\w+)(\{[^}]*\})?/, '{$1}')
    const refused = await app.request(template, { method: 'PATCH' })
    expect(refused.status).toBe(405)
    const methods = refused.headers.get('allow')!.split(', ')
    for (const method of methods) {
      if (method === 'QUERY' || method === 'HEAD') continue // OpenAPI 3.1 cannot describe QUERY, and HEAD is described by GET
      expect(document.paths[template]?.[method.toLowerCase()], `${method} ${path}`).toBeDefined()
    }
  }
})

test('the description lists every code of a refusal, and explains every parameter', () => {
  const text = JSON.stringify(Object.values(document.paths).flatMap((path) => Object.values(path)))
  const never = ['config_invalid', 'log_locked'] // they end a start, not a request
  for (const code of Object.keys(statuses))
    expect([code, text.includes(`\`${code}\``)]).toEqual([code, !never.includes(code)])
  for (const path of Object.values(document.paths))
    for (const { parameters = [] } of Object.values(path) as { parameters?: Record<string, unknown>[] }[])
      for (const parameter of parameters) expect(parameter, `${parameter.name}`).toHaveProperty('description')
})
