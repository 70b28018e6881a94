import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bugs } from './bugs.ts'
import { withBug } from './copy.ts'

const root = join(import.meta.dirname, '..', '..')

test('24 bugs can be planted, each with a name of its own', () => {
  expect(new Set(bugs.map(({ name }) => name)).size).toBe(24)
  expect(bugs).toHaveLength(24)
})

test.each(bugs)('the text that the bug "$name" replaces occurs once in the source', (bug) => {
  const text = readFileSync(join(root, bug.file), 'utf8')
  expect(withBug(text, bug)).not.toBe(text)
})

test.each(bugs)('the test files that should catch the bug "$name" exist', ({ expected }) => {
  expect(expected.length).toBeGreaterThan(0)
  for (const file of expected) expect([file, existsSync(join(root, file))]).toEqual([file, true])
})

test('a bug whose text is no longer in its file, or is in it twice, is an error that says so', () => {
  const bug = { name: 'a-bug', promise: '', file: 'src/a.ts', line: 'text', replacement: 'bug', expected: [] }
  expect(withBug('a text here', bug)).toBe('a bug here')
  expect(() => withBug('nothing', bug)).toThrow('Cannot plant a-bug: src/a.ts does not contain "text" any more')
  expect(() => withBug('text, text', bug)).toThrow('Cannot plant a-bug: src/a.ts contains "text" 2 times')
})
