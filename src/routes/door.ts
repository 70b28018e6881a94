import type { Context, Handler } from 'hono'
import type { Auth } from '../auth/auth.ts'
import { type Action, authorize, type Grant } from '../auth/authorize.ts'
import type { Bodies } from '../auth/bodies.ts'
import type { Clients } from '../auth/clients.ts'
import type { Code } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { INSIDE } from '../hub/inside.ts'
import type { TopicLimits } from '../topic.ts'
import type { Base } from './base.ts'
import { type Body, readBody, readText } from './body.ts'
import type { BodyLimits } from './bytes.ts'
import { type Items, readItems } from './items.ts'
import { openStream, type StreamRequest } from './stream.ts'
import type { StreamLimits } from './streamed-body.ts'

/**
 * Makes a table of routes. All tables of an app get the same door, and nothing else.
 *
 * @example
 * const mine: Routes = (door) => ({
 *   '/news': { methods: { GET: (c) => door.openStream(c, { filter: Filter.parse(['news/**']) }) } },
 * })
 * createApp({ hub, routes: [core, mine] })
 */
export type Routes = (door: Door) => Table

/** Routes by their path, in Hono's syntax. */
export type Table = Readonly<Record<string, Route>>

/**
 * One path of a table.
 *
 * @example
 * const ping: Route = { methods: { GET: (c) => c.text('pong') } }
 * const extended = createApp({ hub, routes: [core, () => ({ '/ping': ping })] })
 */
export interface Route {
  /** A handler for each method, so that other methods are errors; or one handler for all methods. */
  readonly methods: Readonly<Record<string, Handler>> | Handler
  /** Whether GET changes something: the hub then refuses GET to pages of other origins, and as a prefetch. */
  readonly isGetUnsafe?: boolean
  /** Describes the route for `/openapi.json`, which leaves out routes without a description. */
  readonly describe?: () => Description
}

/** The part of a route in an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1). */
export interface Description {
  /** By path template, such as `/topics/{topic}`. */
  readonly paths: Readonly<Record<string, PathItem>>
  /** Schemas by name, which any route may refer to. No two routes may use the same name. */
  readonly schemas?: Readonly<Record<string, object>>
}

export interface PathItem {
  /** Parameters of all methods of the path. */
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
  /** Ways to authenticate, if they differ from those of the whole document; none for a route that takes no credentials. */
  readonly security?: readonly object[]
  readonly responses: Readonly<Record<number, object>>
  /** Errors of the route besides `host_forbidden` and `internal`. The document describes each as a problem response. */
  readonly codes?: readonly Code[]
}

export interface Limits {
  readonly body: BodyLimits
  readonly stream: StreamLimits
  readonly topics: TopicLimits
  /** Most messages of one list. */
  readonly maxBatch: number
}

/**
 * What a route may use: the hub, its limits, and functions that check, read and answer a request.
 *
 * @example
 * const count = (door: Door) => door.hub.readers
 * const counting: Routes = (door) => ({ '/count': { methods: { GET: (c) => c.json(count(door)) } } })
 */
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
  /** Reads the body as one text, whatever its format, within the limits. @throws AppError of `readText` */
  readText(c: Context): Promise<Body>
  /** Reads the items of an NDJSON or event stream body while it arrives; undefined for other content types. @throws AppError of `readItems` */
  readItems(c: Context): Items | undefined
  /** Takes messages, or operations that cost as much, out of the rate of the client's address. @throws AppError `rate_limited` */
  spend(c: Context, messages: number): void | Promise<void>
  /** Like `spend`, but waits until the rate has room. @throws the reason of the signal, if it aborts */
  pace(c: Context, messages: number, signal?: AbortSignal): Promise<void>
  /**
   * Counts a streamed body before it is read: for its address, for its grant, and for the hub.
   *
   * @returns a function that removes it from the counts
   * @throws AppError `draining`, `overloaded`, `too_many_bodies`
   */
  countBody(c: Context, grant: Grant): () => void
  /** Makes a JSON response at less cost than `c.json`. Headers that were set on `c` are ignored. */
  json(value: unknown): Response
  /** Answers with a stream on the carrier of the runtime, if the client's grant allows its topics. See `openStream`. */
  openStream(c: Context, request: StreamRequest): Promise<Response>
}

/** The parts that `makeDoor` needs. */
export interface DoorParts extends Pick<Door, 'hub' | 'auth' | 'limits' | 'base' | 'json'> {
  readonly clients: Clients
  readonly bodies: Bodies
}

export function makeDoor(parts: DoorParts): Door {
  const { hub, auth, limits, base, json, clients, bodies } = parts
  const itemLimits = { ...limits.stream, maxItemBytes: limits.body.maxBodyBytes }
  return {
    ...{ hub, auth, limits, base, json, authorize },
    grantOf: (c) => auth.grantOf(c),
    readBody: (c) => readBody(c, limits.body),
    readText: (c) => readText(c, limits.body),
    readItems: (c) => readItems(c, itemLimits),
    spend: (c, messages) => clients.spend(c, messages),
    pace: (c, messages, signal) => clients.pace(c, messages, signal),
    countBody(c, grant) {
      hub[INSIDE].admitBody()
      return bodies.add(bodies.limitsAddresses ? clients.addressToLimit(c) : undefined, auth.ownerOf(grant))
    },
    openStream: (c, request) => openStream(c, request, parts),
  }
}
