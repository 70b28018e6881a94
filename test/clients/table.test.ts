import { afterAll, describe, expect, test } from 'vitest'
import { cleanUp } from '../server/server.ts'
import { clients } from './table/clients.ts'
import { installed } from './table/languages.ts'
import { isUnexplained } from './table/markdown.ts'
import { measure } from './table/measure.ts'
import { scenes } from './table/scenes/scenes.ts'

/** Clients that npm installs within seconds: an EventSource, an iterator, a parser, and one with known faults. */
const cheap = ['eventsource', 'eventsource-client', 'eventsource-parser', 'fetch-event-source']

const chosen = clients.filter(({ language, program }) => language.name === 'JavaScript' && cheap.includes(program))

const without = (() => {
  try {
    installed(chosen[0]!.language)
    return ''
  } catch (error) {
    return `cannot install the clients: ${(error as Error).message}`
  }
})()

afterAll(cleanUp)

describe.skipIf(without)(`a public client${without && ` (skipped: ${without})`}`, { concurrent: true }, () => {
  test.for(chosen)(
    '$name is right in every scene of the table, but for its known faults',
    { timeout: 300_000 },
    async (client) => {
      const { cells, notRun } = await measure(client, scenes, () => {})
      expect(notRun).toBeUndefined()
      const wrong = [...cells].filter(([scene, cell]) => isUnexplained(client, scene, cell))
      expect(wrong.map(([{ name }, { says }]) => `${name}: ${says}`)).toEqual([])
      expect(cells.size).toBe(scenes.length)
    },
  )
})
