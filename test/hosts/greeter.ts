// greeter.ts
import { Hono } from 'hono'

export { TidingsHub } from 'tidings/worker'

interface Env {
  readonly GREETING: string
  readonly HUBS: { idFromName(name: string): object; get(id: object): { fetch(request: Request): Promise<Response> } }
}

const app = new Hono<{ Bindings: Env }>().get('/', (c) => c.text(c.env.GREETING))
app.mount('/live', (request, { HUBS }: Env) => HUBS.get(HUBS.idFromName('main')).fetch(request))
export default app
