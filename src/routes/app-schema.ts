import type * as v from 'valibot'
import type { Code, statuses } from '../errors.ts'
import type { Topic } from '../hub/directory.ts'
import type { Durability } from '../log/log.ts'
import type { RunInfo } from '../runs/run.ts'
import type { eventQuery } from './event.ts'
import type { messageSchema } from './message.ts'
import type { Polled } from './poll.ts'
import type { claimQuery, runsQuery, stopQuery } from './runs-description.ts'
import type { sendQuery } from './send-description.ts'
import type { topicsQuery } from './topics.ts'

/**
 * An error as it is answered (RFC 9457).
 *
 * @example
 * const isFull = ({ code }: Problem) => code === 'too_many_readers'
 */
export interface Problem {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: (typeof statuses)[Code]
  readonly code: Code
  readonly detail: string
}

/** A route that answers with JSON, or with an error. */
type Json<Input, Output> = Answer<Input, Output, 'json', 200> | Failure<Input>

/** A route that answers with nothing, or with an error. */
type Nothing<Input> = Answer<Input, null, 'body', 204> | Failure<Input>

type Failure<Input> = Answer<Input, Problem, 'json', (typeof statuses)[Code]>

/** Not an interface: Hono's client takes only types that have an implicit index signature. */
type Answer<Input, Output, Format extends string, Status extends number> = {
  input: Input
  output: Output
  outputFormat: Format
  status: Status
}

/** The input of a route without parameters. */
type None = Record<never, never>

type MessageInput = v.InferInput<typeof messageSchema>

/** The answers of `POST /send`: to one message, to a list, and to a message for the store. */
type Sent = { id: string; topic: string; duplicate?: true; durability: Durability; stop?: true }
type SentList = {
  ids: string[]
  topic?: string
  topics?: string[]
  duplicates?: number
  durability: Durability
  stop?: true
}
type Set = { query: Record<string, unknown>; body: Record<string, unknown>; pathname: string; id: string }

type Publishing = {
  query?: v.InferInput<typeof sendQuery>
  json: MessageInput | MessageInput[] | { message: string }
  header?: { 'Idempotency-Key'?: string; 'Tidings-Run'?: string }
}
type Subscribing = {
  query?: v.InferInput<typeof eventQuery>
  header?: { 'Last-Event-ID'?: string; Accept?: string }
}
type Readiness = { status: string; durability?: Durability; warnings?: string[]; readers?: number; detail?: string }
type Renewed = { stream: string; topics?: string[]; expiresAt?: string }
type InTopic = { param: { topic: string } }
/** A run as JSON: its times are in RFC 3339. */
type Shown = Omit<RunInfo, 'leaseEnd'> & { leaseEnd?: string }
type ShownTopic = Omit<Topic, 'run'> & { run?: Omit<Shown, 'topic' | 'lastId'> }
type Claiming = InTopic & { query?: v.InferInput<typeof claimQuery>; header?: { 'Idempotency-Key'?: string } }
type Changing = InTopic & {
  header: { 'Tidings-Run': string }
  json?: { outcome?: 'done' | 'failed' | 'stopped'; detail?: string }
}
type Stopping = { query: v.InferInput<typeof stopQuery> & { topic: string } }
type Erased = { topic: string; id?: string; erased: number }

/** The routes of an app as types, for Hono's client. A test compares their paths and methods with those of the app. */
export type AppSchema = {
  '/send': {
    $get: Json<{ query: { message: string } }, Set>
    $post: Json<Publishing, Sent | SentList | Set>
  }
  '/event': {
    $get:
      | Answer<Subscribing, string, 'text', 200>
      | Answer<Subscribing, Polled, 'json', 200>
      | Answer<Subscribing, null, 'body', 204>
      | Failure<Subscribing>
  }
  '/topics': { $get: Json<{ query?: v.InferInput<typeof topicsQuery> }, { topics: ShownTopic[]; next?: string }> }
  '/topics/:topic': { $get: Json<InTopic, ShownTopic>; $delete: Json<InTopic, Erased> }
  '/runs': { $get: Json<{ query?: v.InferInput<typeof runsQuery> }, { runs: Shown[]; next?: string }> }
  '/runs/:topic': {
    $get: Json<InTopic, Shown>
    $post: Answer<Claiming, Shown & { token: string }, 'json', 201> | Failure<Claiming>
    $patch: Json<Changing, Shown>
  }
  '/stop': {
    $post:
      | Answer<Stopping, Shown, 'json', 200>
      | Answer<Stopping, { topic: string; isStopAsked: boolean }, 'json', 202>
      | Failure<Stopping>
  }
  '/topics/:topic/:id': { $delete: Json<{ param: { topic: string; id: string } }, Erased> }
  '/login': { $post: Json<None, { expiresAt: string }>; $delete: Nothing<None> }
  '/ticket': { $post: Json<None, { ticket: string; expiresAt: string }> }
  '/streams/:stream': {
    $post: Json<{ param: { stream: string }; json: { topics?: string[] } }, Renewed>
  }
  '/revoke': { $post: Nothing<{ json: { jti: string } | { sub: string } | { key: string } }> }
  '/health': { $get: Json<None, { status: 'ok' }> }
  '/ready': { $get: Answer<None, Readiness, 'json', 200 | 503> }
  '/openapi.json': { $get: Json<None, Record<string, unknown>> }
}
