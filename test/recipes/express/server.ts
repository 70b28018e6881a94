// Notifications in an existing Express app: its session decides who reads what.
import { createHmac, randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { type Request } from 'express'
import { handler, type NodeEnv } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import { createApp, type GrantOf, Hub } from '../../../src/index.ts'

/** Stands for the sessions of your app: a cookie that only this server can sign. With `SECRET`, sessions outlive a restart. */
const secret = process.env.SECRET ?? randomBytes(32)
const sign = (user: string) => `${user}.${createHmac('sha256', secret).update(user).digest('base64url')}`
function userOf({ headers }: Pick<Request, 'headers'>): string | undefined {
  const [, session, user] = /(?:^|; )session=(([a-z]+)\.[\w-]+)/.exec(headers.cookie ?? '') ?? []
  return user && sign(user) === session ? user : undefined
}

// From here on: what your app gets. Everybody reads their own topic, and only the app publishes.
const hub = new Hub(() => openSqlite('data/notifications.db'), { retryMs: 1000 })
const grantOf: GrantOf = (c) => {
  const user = userOf((c.env as NodeEnv).incoming)
  return user === undefined ? undefined : { subject: user, subscribe: [`users/${user}`] }
}
const notify = (user: string, event: string, data = {}) =>
  hub.publish({ topic: `users/${user}`, event, data: JSON.stringify(data) })

const app = express()
app.use('/live', handler(createApp({ hub, grantOf })))
app.use('/tidings', express.static(dirname(fileURLToPath(import.meta.resolve('tidings/client')))))
app.use('/style.css', express.static(`${import.meta.dirname}/../style.css`))
app.use(express.static(`${import.meta.dirname}/page`))
app.use(express.json(), express.urlencoded())
app.post('/login', ({ body }, response) => {
  const user = String(body.user)
    .toLowerCase()
    .replace(/[^a-z]/g, '')
  response.cookie('session', sign(user), { httpOnly: true, sameSite: 'lax' }).redirect('/')
})
app.get('/me', (request, response) => void response.json({ user: userOf(request) ?? null }))
app.post('/read', async (request, response) => {
  const user = userOf(request)
  if (user) await notify(user, 'read')
  response.sendStatus(user ? 204 : 401)
})
// Stands for whatever happens in your app.
app.post('/orders/:user', async ({ params, body }, response) => {
  await notify(params.user, 'order', { text: String(body.text) })
  response.sendStatus(204)
})

const port = Number(process.env.PORT ?? 3000)
app.listen(port, 'localhost', () =>
  console.log(`The app is at http://localhost:${port}. Log in as ann, and let something happen:

curl --json '{"text":"Your order is on its way"}' localhost:${port}/orders/ann`),
)
