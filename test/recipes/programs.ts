/** What a reader does with a program of a guide. */
export interface Program {
  /** Code that imports the program, or is a program itself; the code runs in the folder of the program. */
  readonly check: string
  /** What the check prints. */
  readonly shows: string
}

/** Every TypeScript program of the guides, by its name; those that commands or a browser run have no check here. */
export const programs: Readonly<Record<string, Program>> = {
  'shop.ts': {
    check: `import app from './shop.ts'
      const order = () => app.request('http://localhost/orders/7', { method: 'POST' })
      const [[first], [again]] = [await (await order()).json(), await (await order()).json()]
      const events = await app.request('http://localhost/live/event?topic=orders/*&last=5', { headers: { accept: 'application/json' } })
      console.log(first.id === again.id, again.duplicate, (await events.json()).events.map(({ data }) => data))
      process.exit()`,
    shows: "true true [ 'paid' ]\n",
  },
  'library.ts': {
    check: `import { host } from './library.ts'
      const status = async (path) => (await host.request('http://localhost' + path)).status
      console.log(await status('/demo/'), await status('/demo/docs'), await status('/live/topics/a'))
      process.exit()`,
    shows: '200\n200 200 401\n',
  },
  'notes.ts': {
    check: `import app from './notes.ts'
      const { body } = await app.request('http://localhost/notes/ann')
      const { value } = await body.getReader().read()
      console.log(new TextDecoder().decode(value).includes('event: hub.open'))
      process.exit()`,
    shows: 'true\n',
  },
  'login.ts': {
    check: `process.env.AUTH_SECRET = 'x'.repeat(32)
      const { tokenFor } = await import('./login.ts')
      const { createApp, Hub, memoryLog, parseConfig } = await import('tidings')
      const app = createApp({ hub: new Hub(memoryLog), config: parseConfig({ AUTH_SECRET: 'x'.repeat(32) }) })
      const send = async (topic) => app.request('http://localhost/send?topic=' + topic, {
        method: 'POST', body: '{"data":1}',
        headers: { 'content-type': 'application/json', authorization: 'Bearer ' + (await tokenFor('ann')) } })
      console.log((await send('chat/a')).status, (await send('other')).status)`,
    shows: '200 403\n',
  },
}
