import type { Context, Handler } from 'hono'
import type { Auth } from '../auth/auth.ts'
import { authorize, type Grant, isAllowed } from '../auth/authorize.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { Filter, isOwn, parseTopic, prefixOf, type TopicLimits } from '../topic.ts'
import { mountOf } from './base.ts'
import { grantOf } from './grant.ts'
import { parseQuery } from './query.ts'
import { parseParameters, topicsQuery } from './schema.ts'

const PAGE = 100
const headers = { 'Cache-Control': 'no-store' }

/** `GET /topics`: what there is, by name, a page at a time. */
export function list(hub: Hub, auth: Auth, limits: TopicLimits): Handler {
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    const { topic, prefix, after = '', limit = PAGE } = parseParameters(topicsQuery, parseQuery(c.req.url))
    if (topic !== undefined && prefix !== undefined)
      throw new AppError('parameter_invalid', 'Cannot list by topic and by prefix: give one of them')
    const filter = topic === undefined ? undefined : Filter.parse([topic], limits)
    // The hub's own are listed for who names them.
    const isAsked = (name: string) => (filter ? filter.matches(name) : prefix?.startsWith('$') || !isOwn(name))
    const isShown = (name: string) => isAsked(name) && isAllowed(grant, 'subscribe', name)
    const prefixes = prefixesOf(grant, prefix ?? filter?.prefix ?? '')
    const topics = await hub.directory.list({ prefixes, isShown, after, limit, signal: c.req.raw.signal })
    const next = topics.length === limit ? topics.at(-1)!.topic : undefined
    return c.json({ topics, ...(next !== undefined && { next }) }, 200, headers)
  }
}

/** `GET /topics/<topic>`: one, whether anything was ever published to it or not. */
export function show(hub: Hub, auth: Auth, limits: TopicLimits): Handler {
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    const name = parseTopic(pathOf(c), limits)
    authorize(grant, 'subscribe', name)
    return c.json(await hub.directory.get(name), 200, headers)
  }
}

/** `DELETE /topics/<topic>` forgets a topic's history and reopens it, `DELETE /topics/<topic>/<id>` erases one event of it. */
export function erase(hub: Hub, auth: Auth, limits: TopicLimits): Handler {
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    const path = pathOf(c)
    const cut = path.lastIndexOf('/')
    const last = path.slice(cut + 1)
    // A topic may end in what looks like an id, but not in one of this log's: its epoch is random.
    const id = cut > 0 && (await hub.isId(last)) ? last : undefined
    const topic = parseTopic(id === undefined ? path : path.slice(0, cut), limits)
    if (!isOwn(topic)) authorize(grant, 'publish', `$topics/${topic}`)
    const erased = await hub.directory.erase(topic, id)
    return c.json({ topic, ...(id !== undefined && { id }), erased }, 200, headers)
  }
}

/** What the names of all topics begin with that are asked for and may be shown: in order, and none of it begins with another. */
function prefixesOf({ subscribe }: Grant, asked: string): string[] {
  const granted = subscribe.map(prefixOf).sort()
  if (granted.some((prefix) => asked.startsWith(prefix))) return [asked]
  const prefixes: string[] = []
  for (const prefix of granted)
    if (prefix.startsWith(asked) && !prefixes.some((before) => prefix.startsWith(before))) prefixes.push(prefix)
  return prefixes
}

function pathOf(c: Context): string {
  try {
    const { pathname } = new URL(c.req.url)
    const own = pathname.split('/').slice(mountOf(c).split('/').length + 1) // behind the mount and `topics`
    return decodeURIComponent(own.join('/'))
  } catch (cause) {
    throw new AppError('encoding_invalid', 'Cannot read the path: it is not percent-encoded UTF-8', { cause })
  }
}
