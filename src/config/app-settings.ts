import type * as v from 'valibot'
import type { ApiKey } from '../auth/options.ts'
import { AppError } from '../errors.ts'
import { type Config, parse } from './config.ts'
import { appSettings, type Setting, settings } from './settings.ts'

/** `MAX_BODY_BYTES` as a name of TypeScript: `maxBodyBytes`. */
type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<Camel<Tail>>}`
  : Lowercase<Name>

/** A time or a size with its unit. */
type Quantity = `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'KiB' | 'MiB' | 'GiB'}`

type ValueOf<Output> =
  | (undefined extends Output ? 'none' : never)
  | (NonNullable<Output> extends number ? number | Quantity : Readonly<NonNullable<Output>>)

type AppSetting = Exclude<(typeof appSettings)[number], 'OPEN'>

/**
 * The settings of an app as an object. Each stands for the environment variable whose name it spells in camel case: `maxBodyBytes` for
 * `MAX_BODY_BYTES`. A number is in milliseconds or bytes; text has a unit, such as `'30s'` or `'64KiB'`.
 *
 * @example
 * const settings: AppSettings = { corsOrigins: ['https://app.example'], publishRate: 100, bodyTimeout: '10s' }
 * const app = createApp({ hub, settings })
 */
export type AppSettings = {
  readonly [Name in AppSetting as Camel<Name>]?: ValueOf<v.InferOutput<(typeof settings)[Name]['schema']>>
}

/** What a host says beside its settings. */
export interface HostSetup {
  readonly settings?: AppSettings | undefined
  readonly open?: boolean | undefined
  /** Whether the sessions of the host grant access. */
  readonly hasSessions: boolean
}

/** Parses the settings of a host by the rules of the environment variables. @throws AppError `config_invalid` */
export function parseSettings({ settings: given = {}, open = false, hasSessions }: HostSetup): Config {
  const env: Record<string, string> = open ? { OPEN: 'true' } : {}
  for (const [name, value] of Object.entries(given)) {
    const setting = byName.get(name)
    if (setting === undefined || value === '') throw unknown(name, setting)
    if (value !== undefined) env[setting] = textOf(value)
  }
  return parse(env, { nameOf: camel, hasSessions })
}

function camel(name: Setting): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

const byName: ReadonlyMap<string, Setting> = new Map(
  appSettings.filter((name) => name !== 'OPEN').map((name) => [camel(name), name]),
)

function unknown(name: string, setting: Setting | undefined): AppError {
  if (setting !== undefined)
    return new AppError('config_invalid', `Cannot start: ${name} is empty; leave it out for its default`)
  const isOther = Object.keys(settings).some((known) => camel(known as Setting) === name)
  const where = isOther
    ? 'give it to the hub, as in new Hub(memoryLog, { heartbeatMs: 5000 }), to the log, or to the server'
    : `expected ${[...byName.keys()].join(', ')}`
  return new AppError('config_invalid', `Cannot start: ${name} is no setting of an app: ${where}`)
}

/** Writes a value as an environment variable does. */
function textOf(value: string | number | boolean | readonly (string | ApiKey)[]): string {
  if (!Array.isArray(value)) return `${value}`
  if (value.length === 0) return 'none'
  return value.map(itemOf).join(value.some((item) => typeof item === 'object') ? ' ' : ',')
}

function itemOf(item: string | ApiKey): string {
  if (typeof item === 'string') return item
  const { name, sha256, publish, subscribe, hub } = item
  return [name, sha256, publish.join(','), subscribe.join(','), ...(hub === undefined ? [] : [hub])].join(':')
}
