import { fetchEventSource } from '@microsoft/fetch-event-source'
import { EventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'
import { vi } from 'vitest'
import { chromium } from '../browser/chromium.ts'

/** The number of events that are read from a page at once: with 60 KiB each, some 30 MB. */
const SLICE = 500

/** An event as a client reports it: its name, `message` by default, its data, and its id. */
export type Heard = readonly [name: string, data: string, id: string]

/** A stream with a client on it. Failures are recorded as events named `error`, which no publisher can send. */
export interface Listening {
  /** The id of the last event. */
  newest(): string | undefined | Promise<string | undefined>
  /** All events so far. */
  heard(): Heard[] | Promise<Heard[]>
  close(): void | Promise<void>
}

export interface Client {
  readonly name: string
  /** Why the client is missing. */
  readonly missing?: string
  /** Opens a stream. A client that needs a listener for each event name gets a listener for each of `names`. */
  listen(url: string, names: readonly string[]): Listening | Promise<Listening>
  /** How a client with known faults changes an event. */
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
    // The client takes its timers from `window`, and asks `document` whether the page is visible.
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
        throw error // otherwise the client reconnects
      },
    }).catch((error) => ended(String(error)))
    return listening(heard, () => abort.abort())
  },
  /**
   * Two faults of `getMessages` in its lib/cjs/parse.js (2.0.1). It decodes each line's value by itself, and the `TextDecoder`
   * drops a byte order mark at its beginning (line 78), although a stream has at most one, at its own beginning; this is why the hub
   * refuses names that begin with one. And it treats data that is still empty as missing (line 81: `message.data ?
   * message.data + '\n' + value : value`): leading empty lines are lost, and so are leading lines with only a mark.
   */
  hears: ([name, data, id]) => [name, data.replace(/(^|\n)\ufeff/g, '$1').replace(/^\n+/, ''), id],
}

const browser: Client = {
  name: "Chromium's EventSource",
  missing: chromium.missing,
  async listen(url, names) {
    const page = await chromium.newPage()
    // A file of the same origin: it has the page's policy, which allows connections, and opens no stream itself.
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
