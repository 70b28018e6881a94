import type { Context, Handler } from 'hono'
import type { Auth } from '../auth/auth.ts'
import { type Action, authorize, type Grant } from '../auth/authorize.ts'
import type { Bodies } from '../auth/bodies.ts'
import type { Clients } from '../auth/clients.ts'
import type { Code } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { TopicLimits } from '../topic.ts'
import type { Base } from './base.ts'
import { type Body, readBody } from './body.ts'
import type { BodyLimits } from './bytes.ts'
import { type Items, readItems } from './items.ts'
import { openStream, type StreamRequest } from './stream.ts'
import type { StreamLimits } from './streamed-body.ts'

/**
 * A table of routes: paths, as Hono has them, and what each does. The tables of an app get the same door, and nothing else.
 *
 * @example
 * const mine: Routes = (door) => ({
 *   '/news': { methods: { GET: (c) => door.openStream(c, { filter: Filter.parse(['news/**']) }) } },
 * })
 * createApp({ hub, routes: [core, mine] })
 */
export type Routes = (door: Door) => Table

export type Table = Readonly<Record<string, Route>>

/** One path of a table. */
export interface Route {
  /** A handler for each method, where any other method is an error, or one handler for all methods. */
  readonly methods: Readonly<Record<string, Handler>> | Handler
  /** Whether GET changes something: then the hub refuses it to pages of other origins, and to a prefetch. */
  readonly isGetUnsafe?: boolean
  /** Describes the route in `/openapi.json`; without it, the route is not shown there. */
  readonly describe?: () => Description
}

/** The part of a route in an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1). */
export interface Description {
  /** By path template, such as `/topics/{topic}`. */
  readonly paths: Readonly<Record<string, PathItem>>
  /** Schemas that any route may refer to, by a name that no other route gives. */
  readonly schemas?: Readonly<Record<string, object>>
}

export interface PathItem {
  /** Parameters of all its methods. */
  readonly parameters?: readonly object[]
  readonly get?: Operation
  readonly post?: Operation
  readonly put?: Operation
  readonly patch?: Operation
  readonly delete?: Operation
}

export interface Operation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description: string
  readonly parameters?: readonly object[]
  readonly requestBody?: object
  readonly responses: Readonly<Record<number, object>>
  /** Errors that the route answers with, besides `host_forbidden` and `internal`: they become problem responses. */
  readonly codes?: readonly Code[]
}

export interface Limits {
  readonly body: BodyLimits
  readonly stream: StreamLimits
  readonly topics: TopicLimits
  /** Most messages of one list. */
  readonly maxBatch: number
}

/** The hub, its limits, and the questions that a route asks about a request. */
export interface Door {
  readonly hub: Hub
  /** Tokens, tickets, cookies, and the grants of open streams. */
  readonly auth: Auth
  readonly limits: Limits
  /** Returns the path under which clients reach the app, without a slash at its end; empty at the root. */
  readonly base: Base
  /** Returns what the client may do. @throws AppError `token_invalid`, `keys_unavailable` */
  grantOf(c: Context): Grant | Promise<Grant>
  /** Throws unless the grant allows an action on every topic that a topic or pattern matches. @throws AppError `forbidden`, `token_missing` */
  authorize(grant: Grant, action: Action, name: string): void
  /** Reads the body by its content type, within the limits. @throws AppError of `readBody` */
  readBody(c: Context): Promise<Body>
  /** Reads the items of an NDJSON or event stream body while it arrives; undefined for other content types. @throws AppError of `readItems` */
  readItems(c: Context): Items | undefined
  /** Takes messages, or so many other things that cost as much, out of the rate of the client's address. @throws AppError `rate_limited` */
  spend(c: Context, messages: number): void | Promise<void>
  /** Waits until the rate of the client's address has room for messages, and takes them out. @throws the reason of a signal that aborts */
  pace(c: Context, messages: number, signal?: AbortSignal): Promise<void>
  /**
   * Counts a streamed body among those of its address, of its grant and of all, before it is read.
   *
   * @returns a function that removes it from the counts
   * @throws AppError `too_many_bodies`, `overloaded`
   */
  countBody(c: Context, grant: Grant): () => void
  /** Makes a JSON response at less cost than `c.json`, and without headers that were set on `c`. */
  json(value: unknown): Response
  /** Answers with a stream, as far as the client's grant allows it, on the carrier of the runtime. See `openStream`. */
  openStream(c: Context, request: StreamRequest): Promise<Response>
}

/** What a door is made of. */
export interface DoorParts extends Pick<Door, 'hub' | 'auth' | 'limits' | 'base' | 'json'> {
  readonly clients: Clients
  readonly bodies: Bodies
}

export function makeDoor(parts: DoorParts): Door {
  const { hub, auth, limits, base, json, clients, bodies } = parts
  const itemLimits = { ...limits.stream, maxItemBytes: limits.body.maxBodyBytes }
  return {
    ...{ hub, auth, limits, base, json, authorize },
    grantOf: (c) => auth.grantOf((name) => c.req.header(name)),
    readBody: (c) => readBody(c, limits.body),
    readItems: (c) => readItems(c, itemLimits),
    spend: (c, messages) => clients.spend(c, messages),
    pace: (c, messages, signal) => clients.pace(c, messages, signal),
    countBody(c, grant) {
      hub.assertMemory()
      return bodies.add(clients.addressOf(c), auth.ownerOf(grant))
    },
    openStream: (c, request) => openStream(c, request, parts),
  }
}
