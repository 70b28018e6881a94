import * as v from 'valibot'
import { asVariables, type Config, configOf } from './config.ts'
import { Reading } from './reading.ts'
import { type Setting, setting, settings } from './settings.ts'
import { HUB_NAME, optionalText, text } from './values.ts'

/** Defaults on Workers, for an object of 128 MB of memory and at most 30 s of processor time a request. */
export const workerDefaults: Partial<Record<Setting, string>> = {
  MAX_READERS: '10000', // about 4 KB each
  MAX_REPLAYS: '200', // a chunk of 64 KiB each
  MAX_PENDING_BYTES: '16MiB',
  MAX_STREAMED_BODIES: '50', // up to 400 KiB each
  MAX_STREAM_ITEMS: '100000', // 100 µs to 200 µs each
}

/** The longest event that fits a row of a Durable Object: 2 MB with the key (Durable Objects, Limits), less what is stored beside the data. */
export const MAX_ROW_EVENT_BYTES = 1_900_000

/** The settings that only a Worker has. */
export const workerSettings = {
  HUB: setting(
    'Name the hub of this deployment; with HUB_FROM=token, that of requests without credentials',
    'main',
    text(HUB_NAME, 'lower-case letters, digits, . and -'),
  ),
  HUB_FROM: setting(
    "Serve many hubs, and take the name of each request's hub from its host, the first segment of its path, or its token (claim tidings.hub)",
    'none',
    v.picklist(['none', 'host', 'path', 'token'], 'none, host, path or token'),
  ),
  JURISDICTION: setting(
    'Keep the objects in this jurisdiction, such as eu; another value makes other objects',
    'none',
    optionalText((name) => /^[a-z-]{1,20}$/.test(name), 'eu, or another jurisdiction of Durable Objects'),
  ),
  LOCATION_HINT: setting(
    'Create the objects near this location, such as weur; it counts when an object is first used',
    'none',
    optionalText((name) => /^[a-z-]{1,20}$/.test(name), 'weur, or another location hint of Durable Objects'),
  ),
}

/** The parsed settings of a Worker. */
export interface WorkerConfig extends Config {
  readonly hubs: {
    readonly name: string
    /** Where requests say for which of many hubs they are; undefined if there is one hub. */
    readonly from?: 'host' | 'path' | 'token'
    readonly jurisdiction?: string
    readonly locationHint?: string
  }
}

export function isHubName(text: string): boolean {
  return HUB_NAME.test(text)
}

/** Parses the settings of a Worker. @throws AppError `config_invalid`: lists every mistake, with the expected value */
export function parseWorkerConfig(given: Readonly<Record<string, string | undefined>>): WorkerConfig {
  const reading = new Reading()
  const config = configOf(reading, given, asVariables(workerDefaults))
  const { HUB, HUB_FROM, JURISDICTION, LOCATION_HINT } = workerSettings
  const name = reading.get('HUB', HUB, given.HUB)
  const from = reading.get('HUB_FROM', HUB_FROM, given.HUB_FROM)
  const jurisdiction = reading.get('JURISDICTION', JURISDICTION, given.JURISDICTION)
  const locationHint = reading.get('LOCATION_HINT', LOCATION_HINT, given.LOCATION_HINT)
  if (config.hub.maxEventBytes > MAX_ROW_EVENT_BYTES)
    reading.mistakes.push(
      `MAX_EVENT_BYTES: expected at most ${MAX_ROW_EVENT_BYTES} bytes, because an object stores an event in a row of at most 2 MB`,
    )
  reading.end()
  return {
    ...config,
    hubs: {
      name,
      ...(from !== 'none' && { from }),
      ...(jurisdiction !== undefined && { jurisdiction }),
      ...(locationHint !== undefined && { locationHint }),
    },
  }
}

/** The origins whose pages may read what a Worker answers, also if another setting or another origin is wrong. */
export function originsOf({ CORS_ORIGINS }: { readonly CORS_ORIGINS?: unknown }): readonly string[] {
  if (typeof CORS_ORIGINS !== 'string') return []
  return CORS_ORIGINS.split(',').flatMap((text) => {
    const { success, output } = v.safeParse(settings.CORS_ORIGINS.schema, text)
    return success ? (output ?? []) : []
  })
}
