import type { Context, Handler } from 'hono'
import * as v from 'valibot'
import { isAllowed } from '../auth/authorize.ts'
import { AppError, quote } from '../errors.ts'
import { nearRuns } from '../runs/near.ts'
import { parseTopic } from '../topic.ts'
import type { Door, Routes } from './door.ts'
import { authorizePublish } from './ingest.ts'
import { isObject } from './json.ts'
import { pathAfter, prefixesOf } from './paths.ts'
import { keyOf, tokenOf } from './producer-headers.ts'
import { parseParameters, parseQuery } from './query.ts'
import { claimQuery, describeRun, describeRuns, describeStop, PAGE, runsQuery, stopQuery } from './runs-description.ts'
import { withTimes } from './times.ts'

const headers = { 'Cache-Control': 'no-store' }

/** `/runs`: lists, shows, claims, renews and ends runs. `/stop` asks the producer of a topic to stop. */
export const runs: Routes = (door) => {
  const [listing, showing] = [list(door), show(door)]
  return {
    '/runs': { methods: { GET: listing, HEAD: listing }, describe: describeRuns },
    '/runs/:topic{[^]+}': {
      methods: { GET: showing, HEAD: showing, POST: claim(door), PATCH: change(door) },
      describe: describeRun,
    },
    '/stop': { methods: { POST: stop(door) }, describe: describeStop },
  }
}

/** `GET /runs` lists runs by topic, a page at a time: those whose topics the client may read. */
function list(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const { prefix = '', after = '', limit = PAGE } = parseParameters(runsQuery, parseQuery(c.req.url))
    const isShown = (topic: string) => isAllowed(grant, 'subscribe', topic)
    const prefixes = prefixesOf(grant, prefix)
    await door.spend(c, 1)
    const { signal } = c.req.raw
    const runs = await nearRuns(door.hub).list({ prefixes, isShown, after, limit, signal })
    const next = runs.length === limit ? runs.at(-1)!.topic : undefined
    return c.json({ runs: runs.map(withTimes), ...(next !== undefined && { next }) }, 200, headers)
  }
}

/** `GET /runs/<topic>` shows the run of a topic. */
function show(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const topic = topicOf(c, door)
    door.authorize(grant, 'subscribe', topic)
    const info = await nearRuns(door.hub).state(topic)
    if (!info) throw new AppError('run_unknown', `Cannot show the run of ${quote(topic)}: nobody has claimed the topic`)
    return c.json(withTimes(info), 200, headers)
  }
}

/** `POST /runs/<topic>` claims a topic for a producer. */
function claim(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const topic = topicOf(c, door)
    const { lease, grace } = parseParameters(claimQuery, parseQuery(c.req.url))
    const key = keyOf(c)
    authorizePublish(door, grant, topic)
    await door.spend(c, 1)
    const { token, info } = await nearRuns(door.hub).take(topic, {
      ...(lease !== undefined && { leaseMs: lease }),
      ...(grace !== undefined && { graceMs: grace }),
      ...(key !== undefined && { key }),
    })
    return c.json({ ...withTimes(info), token }, 201, headers)
  }
}

/** `PATCH /runs/<topic>` renews the lease of a producer, or ends its run. */
function change(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const topic = topicOf(c, door)
    authorizePublish(door, grant, topic)
    const token = tokenOf(c)
    const ending = endingOf(await door.readBody(c))
    if (token === undefined)
      throw new AppError('run_lost', 'Cannot renew or end a run without its token: send it in Tidings-Run')
    await door.spend(c, 1)
    const all = nearRuns(door.hub)
    if (!ending) return c.json(withTimes(await all.renew(topic, { token })), 200, headers)
    const before = await all.state(topic) // afterwards somebody may have deleted the topic
    const { outcome, detail } = ending
    const { id } = await door.hub.publish({
      ...{ topic, close: true, run: token },
      ...(outcome !== 'done' && { outcome }),
      ...(detail !== undefined && { detail }),
    })
    const { leaseEnd: _, ...run } = before!
    return c.json({ ...run, ...ending, lastId: id }, 200, headers)
  }
}

/** `POST /stop` asks the producer of a topic to stop. */
function stop(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const { topic: given, fence } = parseParameters(stopQuery, parseQuery(c.req.url))
    if (given === undefined)
      throw new AppError('topic_missing', 'Cannot stop without a topic: add ?topic=, which the run is of')
    const topic = parseTopic(given, door.limits.topics)
    door.authorize(grant, 'publish', `$stop/${topic}`)
    await door.spend(c, 1)
    const info = await nearRuns(door.hub).stop(topic, fence)
    return info
      ? c.json(withTimes(info), 200, headers)
      : c.json({ topic, isStopAsked: fence === undefined }, 202, headers)
  }
}

function topicOf(c: Context, door: Door): string {
  return parseTopic(pathAfter(c, 'runs'), door.limits.topics)
}

const endingSchema = v.strictObject({
  outcome: v.optional(v.picklist(['done', 'failed', 'stopped'])),
  detail: v.optional(v.string()),
})

/** How a body ends a run; undefined for a body that renews the lease. */
function endingOf(body: Awaited<ReturnType<Door['readBody']>>) {
  if (body.kind === 'none') return
  const value = body.kind === 'json' ? body.value : body.kind === 'form' ? body.fields : undefined
  const found = isObject(value) ? v.safeParse(endingSchema, value) : undefined
  if (!found?.success)
    throw new AppError(
      'body_invalid',
      'Cannot end the run so: expected JSON with outcome, which is done, failed or stopped, and for failed a detail',
    )
  const { outcome, detail } = found.output
  if (outcome === undefined && detail === undefined) return
  return { outcome: outcome ?? 'done', detail }
}
