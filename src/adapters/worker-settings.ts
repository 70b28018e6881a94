import { parseWorkerConfig, type WorkerConfig } from '../config/worker.ts'
import { AppError, reasonOf } from '../errors.ts'

/** The bindings of a Worker. Variables and secrets are texts; a variable of `wrangler.toml` may also be a number or a boolean. */
export type Bindings = Readonly<Record<string, unknown>>

const parsed = new WeakMap<object, WorkerConfig | AppError>()

/**
 * Returns the settings of a Worker, which its variables and secrets give. They are parsed once for each object of bindings, so once in each
 * isolate and in each Durable Object: the free plan allows 10 ms of processor time for a request.
 *
 * @throws AppError `config_invalid`, whose message may be sent to clients. The mistakes are written to the log, once
 */
export function settingsOf(env: object): WorkerConfig {
  let config = parsed.get(env)
  if (config === undefined) {
    config = parse(env as Bindings)
    parsed.set(env, config)
  }
  if (config instanceof AppError) throw config
  return config
}

function parse(env: Bindings): WorkerConfig | AppError {
  try {
    return parseWorkerConfig(textsOf(env))
  } catch (cause) {
    console.error(JSON.stringify({ level: 'error', error: reasonOf(cause) }))
    return new AppError('config_invalid', 'Cannot serve: a setting of this hub is wrong; its log says which', { cause })
  }
}

function textsOf(env: Bindings): Record<string, string | undefined> {
  const texts = Object.entries(env).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
  return Object.fromEntries(texts.map(([name, value]) => [name, `${value}`]))
}
