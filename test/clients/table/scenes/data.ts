import { type Heard, holds } from '../running.ts'
import { ended, right, type Scene, wrong } from '../scene.ts'
import { publish } from '../stage.ts'

const READY_MS = 20_000
/** What has not arrived by then waits for bytes that do not come. */
const PATIENCE_MS = 5000

/** Texts that clients have got wrong, by what they are. */
const texts: readonly (readonly [what: string, data: string, event?: string])[] = [
  ['a text', 'hello'],
  ['a name', 'named', 'said'],
  ['lines', Array.from({ length: 200 }, (_, i) => `line ${i}`).join('\n')],
  ['CR and CRLF', 'a\r\nb\rc\nd'],
  ['no text', ''],
  ['empty lines', '\n\na\n\nb\n\n'],
  ['spaces', '  leading and trailing  '],
  ['Unicode', 'é 漢字 😀 \u2028 \u2029 \u0085 \u00a0 \u200b \v \f \u0001 \u007f'],
  ['a byte order mark', '\ufeffmark'],
  ['fields', 'data: x\nid: 9\n: comment\nevent: y\nretry: 1'],
  ['60,000 bytes', 'x'.repeat(60_000)],
  ['20,000 characters of three bytes', '漢'.repeat(20_000)],
]
/** Short lines grow most on the wire. The first of these texts that the hub takes is published. */
const shortLines = [58_000, 40_000, 30_000, 20_000].map((bytes) => `${'ab\n'.repeat(bytes / 3)}ab`)

/** Every line end arrives as LF (HTML, 9.2.6). */
const asRead = (data: string) => data.replace(/\r\n?/g, '\n')

export const data: Scene = {
  name: 'data',
  says: 'lines, CR and CRLF, Unicode, empty data, 60 KB and names are exact, with their ids, and `hub.gap` is heard',
  async play(stage) {
    const hub = await stage.hub()
    // A position of another log: the client is told of a gap, and goes on from here.
    const program = stage.run(`${hub.url}/event?topic=any&lastEventId=other-1`)
    if (!(await holds(async () => program.hasExited || (await hub.readers()) === 1, READY_MS)))
      return wrong('does not connect')
    const expected: (Heard & { what: string })[] = []
    const say = async (what: string, data: string, event = 'message') => {
      const id = await publish(hub, { data, event })
      if (id !== undefined) expected.push({ what, event, data: asRead(data), id })
      return id !== undefined
    }
    for (const text of texts) await say(...text)
    for (const lines of shortLines) if (await say('short lines', lines)) break
    await say('the last', 'the last')
    const isThrough = () => program.entries.some(({ data }) => data === 'the last')
    await holds(() => program.hasExited || isThrough(), PATIENCE_MS)

    const { entries } = program
    if (program.hasExited) return ended(program)
    if (!isThrough()) return wrong(`${entries.length} of ${expected.length} events in ${PATIENCE_MS / 1000} s`)
    if (!program.hears('hub.gap')) return wrong('no `hub.gap`')
    if (entries.every(({ id }) => id === '')) return wrong('no ids')
    const isHeard = ({ id, data, event }: Heard) =>
      entries.some((heard) => heard.id === id && heard.data === data && heard.event === event)
    const differing = expected.filter((event) => !isHeard(event)).map(({ what }) => what)
    if (differing.length > 0) return wrong(`differs: ${differing.join(', ')}`)
    return entries.length > expected.length ? wrong(`${entries.length - expected.length} too many`) : right('exact')
  },
}
