import { createClient } from '@redis/client'
import { createResumableStreamContext, type Publisher, type Subscriber } from 'resumable-stream/generic'

/** How often upstream looks whether a producer is done, in ms: 10 s by default. */
const WATCHDOG_MS = 500

/** Upstream's context over a real Redis, as its README makes one, but that its watchdog looks 20 times as often. */
export async function upstreamContext(port: number) {
  const url = `redis://127.0.0.1:${port}`
  const publisher = createClient({ url })
  const subscriber = createClient({ url })
  await Promise.all([publisher.connect(), subscriber.connect()])
  const publishing: Publisher = {
    connect: () => publisher.connect(),
    publish: (channel, message) => publisher.publish(channel, message),
    set: (key, value, options) =>
      publisher.set(key, value, options?.EX === undefined ? {} : { expiration: { type: 'EX', value: options.EX } }),
    get: (key) => publisher.get(key),
    incr: (key) => publisher.incr(key),
  }
  const subscribing: Subscriber = {
    connect: () => subscriber.connect(),
    subscribe: async (channel, callback) => {
      await subscriber.subscribe(channel, callback)
      return 1
    },
    unsubscribe: (channel) => subscriber.unsubscribe(channel),
  }
  const context = createResumableStreamContext({
    ...{ waitUntil: null, doneWatchdogIntervalMs: WATCHDOG_MS },
    ...{ publisher: publishing, subscriber: subscribing },
  })
  const close = () => {
    publisher.destroy()
    subscriber.destroy()
  }
  return { context, close }
}
