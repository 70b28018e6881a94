// worker.ts
import tidings, { type Message, TidingsHub } from 'tidings/worker'

export { TidingsHub }

export default {
  fetch: tidings.fetch,

  async queue({ messages }: Batch, { HUBS }: Env): Promise<void> {
    const said = messages.map(({ id, body }) => ({ topic: 'orders', data: JSON.stringify(body), key: id }))
    await HUBS.get(HUBS.idFromName('main')).publish(said)
  },
}

interface Batch {
  readonly messages: readonly { readonly id: string; readonly body: unknown }[]
}

interface Env {
  readonly HUBS: { idFromName(name: string): unknown; get(id: unknown): { publish(said: Message[]): Promise<unknown> } }
}
