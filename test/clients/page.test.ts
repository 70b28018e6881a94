import { describe, expect, test } from 'vitest'
import { clients } from './table/clients.ts'
import { languages, programsOf, sourceOf } from './table/languages.ts'
import { needed, plain } from './table/lines.ts'
import { version } from './table/markdown.ts'
import { shownOnPage } from './table/page.ts'
import { scenes } from './table/scenes/scenes.ts'

const shown = shownOnPage()

const rowsOf = (name: string) => shown.split('\n').filter((line) => line.startsWith(`| ${name} | `))

describe('the table of src/routes/CLIENTS.md', () => {
  test.each(clients)('has the row of $name in the pinned version, or says why it was not run', (client) => {
    // The version of a browser is that of the machine.
    const pinned = client.name.endsWith('EventSource') ? '' : version(client)
    const rows = rowsOf(client.name).filter((row) => row.startsWith(`| ${client.name} | ${pinned}`))
    expect(rows.length).toBeGreaterThan(0)
  })

  test('shows no client wrong without a link to its own fault', () => {
    const names = [...new Set(clients.map(({ name }) => name))]
    const unexplained = names.filter((name) => rowsOf(name).some((row) => row.includes('unexplained')))
    expect(unexplained).toEqual([])
  })

  test('has at least 16 clients in 5 languages', () => {
    const run = shown.split('\n').filter((line) => line.includes('✓'))
    expect(run.length).toBeGreaterThanOrEqual(16)
    expect(shown.match(/^\*\*\w+\*\*$/gm)?.length).toBeGreaterThanOrEqual(5)
  })

  test('says when and with which versions it was measured', () => {
    expect(shown).toMatch(
      /^Measured on \d{4}-\d\d-\d\d: \d+ clients, with Chromium [\d.]+, Node [\d.]+, Python [\d.]+,/,
    )
  })
})

test('every program belongs to a client, and every client has one', () => {
  for (const language of languages) {
    const listed = clients.filter((client) => client.language === language).map(({ program }) => program)
    expect([language.name, listed.sort()]).toEqual([language.name, programsOf(language).sort()])
  }
})

test('every fault names a scene and links to the code or an issue of a client', () => {
  for (const { name, faults = {} } of clients)
    for (const [scene, found] of Object.entries(faults)) {
      expect(scenes.map(({ name }) => name)).toContain(scene)
      for (const { link } of found)
        expect([name, link]).toEqual([name, expect.stringMatching(/^https:\/\/github\.com\//)])
    }
})

test('the lines that a client needs are those with the mark, without it', () => {
  const source = "const a = 1\n  if (a) b() // needed\n    c() # needed\nd('// needed')\n"
  expect(plain(source)).toBe("const a = 1\nd('// needed')\n")
  expect(needed(source)).toEqual(['if (a) b()', '  c()'])
})

test('a program of a parser has no marks: its users write all of it', () => {
  for (const { isParser, language, program } of clients)
    if (isParser) expect([program, needed(sourceOf(language, program))]).toEqual([program, []])
})
