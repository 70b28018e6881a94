import { browser, go, java, javascript, type Language, python, rust } from './languages.ts'

/** A public client, and the program that uses it as its users would. */
export interface Client {
  readonly language: Language
  /** The package, as its registry and its manifest name it. */
  readonly name: string
  /** The name of its program, without the ending. */
  readonly program: string
  /** It parses streams and does not connect: its users write the whole program. */
  readonly isParser?: boolean
  /** The part of the time it was told that the client subtracts at random before it reconnects; 0 if left out. */
  readonly jitter?: number
  /** The client's own faults that make scenes wrong, by the name of the scene. */
  readonly faults?: Readonly<Record<string, readonly Fault[]>>
}

/** A fault of a client. */
export interface Fault {
  readonly says: string
  /** The client's code or issue that shows the fault. */
  readonly link: string
}

/** `@microsoft/fetch-event-source`, whose parser others have copied. */
const takesDataAsMissing = (link: string): readonly Fault[] => [
  { says: 'takes data that is still empty as missing, and so loses empty lines at the beginning', link },
  {
    says: 'decodes each line by itself, and so drops a byte order mark at the beginning of a line',
    link: 'https://github.com/Azure/fetch-event-source/blob/HEAD/src/parse.ts',
  },
]
const strips = (link: string): readonly Fault[] => [
  { says: 'strips all spaces before a line, and all line ends behind the data', link },
]
const requestsSse = 'https://github.com/overcat/requests-sse/blob/HEAD/requests_sse/client.py'
const aiohttpSse = 'https://github.com/JelleZijlstra/aiohttp-sse-client2/blob/HEAD/aiohttp_sse_client2/client.py'
const eventSourcePlus = 'https://github.com/joshmossas/event-source-plus/blob/HEAD/src'
const jerseyReader =
  'https://github.com/eclipse-ee4j/jersey/blob/HEAD/media/sse/src/main/java/org/glassfish/jersey/media/sse/InboundEventReader.java'

export const clients: readonly Client[] = [
  { language: browser, name: "Chromium's EventSource", program: 'eventsource' },
  { language: browser, name: 'sse.js', program: 'sse' },
  { language: javascript, name: 'eventsource', program: 'eventsource' },
  { language: javascript, name: 'eventsource-client', program: 'eventsource-client' },
  { language: javascript, name: 'eventsource-parser', program: 'eventsource-parser', isParser: true },
  { language: javascript, name: 'undici', program: 'undici' },
  {
    language: javascript,
    name: '@microsoft/fetch-event-source',
    program: 'fetch-event-source',
    faults: { data: takesDataAsMissing('https://github.com/Azure/fetch-event-source/issues/50') },
  },
  {
    language: javascript,
    name: 'event-source-polyfill',
    program: 'event-source-polyfill',
    faults: {
      '204': [
        {
          says: 'reads the body before it looks at the status, and a 204 has none: it asks again for ever',
          link: 'https://github.com/Yaffle/EventSource/blob/HEAD/src/eventsource.js',
        },
      ],
    },
  },
  {
    language: javascript,
    name: 'extended-eventsource',
    program: 'extended-eventsource',
    faults: { data: takesDataAsMissing('https://github.com/lukas-reining/eventsource/blob/HEAD/src/parse.ts') },
  },
  { language: javascript, name: 'launchdarkly-eventsource', program: 'launchdarkly-eventsource' },
  {
    language: javascript,
    name: 'event-source-plus',
    program: 'event-source-plus',
    faults: {
      data: [{ says: 'keeps the last line of the data alone, trimmed', link: `${eventSourcePlus}/parse.ts` }],
      lifetime: [{ says: 'ignores `retry`: comes back after 2 ms', link: `${eventSourcePlus}/event-source.ts` }],
      overload: [{ says: 'ignores `retry`: comes back after 2 ms', link: `${eventSourcePlus}/event-source.ts` }],
    },
  },
  { language: python, name: 'httpx-sse', program: 'httpx-sse', isParser: true },
  { language: python, name: 'sseclient-py', program: 'sseclient-py', isParser: true },
  { language: python, name: 'requests-sse', program: 'requests-sse', faults: { data: strips(requestsSse) } },
  {
    language: python,
    name: 'aiohttp-sse-client2',
    program: 'aiohttp-sse-client2',
    faults: { data: strips(aiohttpSse) },
  },
  {
    language: python,
    name: 'launchdarkly-eventsource',
    program: 'launchdarkly-eventsource',
    jitter: 0.5,
    faults: {
      overload: [
        {
          says: 'parses `retry` and ignores it',
          link: 'https://github.com/launchdarkly/python-eventsource/blob/HEAD/ld_eventsource/sse_client.py',
        },
      ],
    },
  },
  { language: go, name: 'github.com/r3labs/sse/v2', program: 'r3labs-sse' },
  { language: go, name: 'github.com/tmaxmax/go-sse', program: 'go-sse', jitter: 0.5 },
  { language: go, name: 'github.com/launchdarkly/eventsource', program: 'launchdarkly-eventsource' },
  { language: go, name: 'github.com/donovanhide/eventsource', program: 'donovanhide-eventsource' },
  { language: rust, name: 'reqwest-eventsource', program: 'reqwest-eventsource' },
  { language: rust, name: 'eventsource-client', program: 'eventsource-client', jitter: 0.5 },
  { language: rust, name: 'eventsource-stream', program: 'eventsource-stream', isParser: true },
  { language: rust, name: 'sse-stream', program: 'sse-stream', isParser: true },
  { language: java, name: 'okhttp-eventsource', program: 'okhttp-eventsource', jitter: 0.5 },
  {
    language: java,
    name: 'okhttp-sse',
    program: 'okhttp-sse',
    faults: {
      overload: [
        {
          says: 'does not show `retry` to the program, whose lines wait 3 to 6 s at random instead',
          link: 'https://github.com/lysine-dev/okhttp/issues/8202',
        },
      ],
    },
  },
  {
    language: java,
    name: 'jersey-media-sse',
    program: 'jersey-media-sse',
    faults: {
      data: [{ says: 'strips all spaces before a line', link: jerseyReader }],
      '204': [{ says: 'asks again for ever after a 204', link: 'https://github.com/eclipse-ee4j/jersey/issues/6119' }],
    },
  },
  { language: java, name: 'spring-webflux', program: 'spring-webflux' },
]
