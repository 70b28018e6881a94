import { fetchEventSource } from '@microsoft/fetch-event-source'
import { EventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'
import { vi } from 'vitest'
import { chromium } from '../browser/chromium.ts'

/** Events taken out of a page at once: of 60 KiB each, some 30 MB. */
const SLICE = 500

/** An event as a client tells of it: its name, `message` if it has none, its data, and its id. */
export type Heard = readonly [name: string, data: string, id: string]

/** A stream that somebody listens to. Trouble is heard too, as an `error`, which no publisher can say. */
export interface Listening {
  /** The id of what was heard last. */
  newest(): string | undefined | Promise<string | undefined>
  /** Everything heard so far. */
  heard(): Heard[] | Promise<Heard[]>
  close(): void | Promise<void>
}

export interface Client {
  readonly name: string
  /** Why it is not there. */
  readonly missing?: string
  /** Listens to a stream; a client that has a listener for each event name has one for each of these. */
  listen(url: string, names: readonly string[]): Listening | Promise<Listening>
  /** What it makes of an event, where that is not what the event says. */
  hears?(event: Heard): Heard
}

const trouble = (what: string): Heard => ['error', what, '']
const listening = (heard: readonly Heard[], close: () => void): Listening => ({
  newest: () => heard.at(-1)?.[2],
  heard: () => [...heard],
  close,
})

const parser: Client = {
  name: 'eventsource-parser',
  listen(url) {
    const heard: Heard[] = []
    const abort = new AbortController()
    const decoder = new TextDecoder()
    const { feed } = createParser({
      onEvent: ({ event = 'message', data, id = '' }) => heard.push([event, data, id]),
      onError: ({ message }) => heard.push(trouble(message)),
    })
    const read = async () => {
      const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: abort.signal })
      for await (const chunk of response.body!) feed(decoder.decode(chunk, { stream: true }))
      heard.push(trouble('the stream ended'))
    }
    read().catch((error) => heard.push(trouble(String(error))))
    return listening(heard, () => abort.abort())
  },
}

const eventSource: Client = {
  name: 'eventsource',
  listen(url, names) {
    const heard: Heard[] = []
    const source = new EventSource(url)
    for (const name of names)
      source.addEventListener(name, ({ type, data, lastEventId }) => heard.push([type, data, lastEventId]))
    source.onerror = ({ message }) => heard.push(trouble(message ?? 'the stream ended'))
    return listening(heard, () => source.close())
  },
}

const microsoft: Client = {
  name: '@microsoft/fetch-event-source',
  listen(url) {
    // A page's, where its timers are, and where it stops to ask whether anybody sees it.
    vi.stubGlobal('window', globalThis)
    vi.stubGlobal('document', new EventTarget())
    const heard: Heard[] = []
    const abort = new AbortController()
    const ended = (what: string) => {
      if (!abort.signal.aborted) heard.push(trouble(what))
    }
    fetchEventSource(url, {
      signal: abort.signal,
      openWhenHidden: true,
      onmessage: ({ event, data, id }) => heard.push([event || 'message', data, id]),
      onclose: () => ended('the stream ended'),
      onerror(error) {
        throw error // or it comes back
      },
    }).catch((error) => ended(String(error)))
    return listening(heard, () => abort.abort())
  },
  /**
   * Two faults of `getMessages` in its lib/cjs/parse.js (2.0.1), and no others. It decodes each line's value by itself, and the
   * `TextDecoder` drops a byte order mark at its beginning (line 78): a stream has one at most, before everything else. A name that
   * begins with one is refused for that. And data that is still empty it takes for none (line 81: `message.data ?
   * message.data + '\n' + value : value`): the empty lines before the first other one are lost, those of a mere mark with them.
   */
  hears: ([name, data, id]) => [name, data.replace(/(^|\n)\ufeff/g, '$1').replace(/^\n+/, ''), id],
}

const browser: Client = {
  name: "Chromium's EventSource",
  missing: chromium.missing,
  async listen(url, names) {
    const page = await chromium.newPage()
    // Of the same origin, with the page's policy, which lets it connect, and without a stream of its own.
    await page.goto(new URL('/style.css', url).href)
    const heard = await page.evaluateHandle(
      ({ url, names, trouble }) => {
        const heard: Heard[] = []
        const source = new window.EventSource(url)
        const hear = ({ type, data, lastEventId }: MessageEvent<string>) => heard.push([type, data, lastEventId])
        for (const name of names) source.addEventListener(name, hear)
        source.onerror = () => heard.push(trouble)
        return heard
      },
      { url, names, trouble: trouble('the stream ended') },
    )
    return {
      newest: () => heard.evaluate((heard) => heard.at(-1)?.[2]),
      async heard() {
        const all: Heard[] = []
        for (let slice: Heard[] = []; all.length === 0 || slice.length === SLICE; all.push(...slice))
          slice = JSON.parse(
            await heard.evaluate((heard, [from, to]) => JSON.stringify(heard.slice(from, to)), [
              all.length,
              all.length + SLICE,
            ] as const),
          )
        return all
      },
      close: () => page.context().close(),
    }
  },
}

export const clients = [parser, eventSource, microsoft, browser]
