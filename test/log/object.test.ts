import { env, runInDurableObject } from 'cloudflare:test'
import { type ObjectState, openObject } from '../../src/adapters/object.ts'
import type { TidingsHub } from '../../src/adapters/worker.ts'
import type { Log } from '../../src/log/log.ts'
import { resumeSuite } from '../hub/resume.suite.ts'
import { logSuite, type Place } from './suite.ts'

/** This file runs inside workerd; each place is a Durable Object, and each call of a log runs in the context of its object. */
logSuite({ name: 'the SQL of a Durable Object', survives: true, place })
resumeSuite('a Durable Object', (options) => place().open(options))

function place(): Place {
  const object = env.HUBS.get(env.HUBS.newUniqueId())
  const inside = <T>(call: (state: ObjectState) => T | Promise<T>) =>
    runInDurableObject(object, (_: TidingsHub, state: ObjectState) => call(state))
  return {
    async open(options) {
      const log = await inside((state) => openObject(state, options))
      const called =
        (name: keyof Log) =>
        (...given: unknown[]) =>
          inside(() => (log[name] as (...given: unknown[]) => unknown)(...given))
      const { epoch, durability, warnings } = log
      const methods = ['append', 'read', 'seek', 'topics', 'erase', 'follow', 'check', 'close'] as const
      return {
        epoch,
        durability,
        warnings,
        ...Object.fromEntries(methods.map((name) => [name, called(name)])),
      } as unknown as Log
    },
    remove() {},
  }
}
