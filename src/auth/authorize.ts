import { AppError } from '../errors.ts'

/** What somebody may do: topics and patterns to publish to, and to subscribe to. */
export interface Grant {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

export type Action = keyof Grant

/** Everything that a hub without keys allows to everybody who reaches it. */
export const openGrant: Grant = { publish: ['**'], subscribe: ['**', '$store'] }

/**
 * The one place that decides who may do what. A hub without keys has the open grant only; with keys, this is where
 * a grant's patterns are compared with the topic.
 */
export function isAllowed(grant: Grant, _action: Action, _topic: string): boolean {
  return grant === openGrant
}

/** @throws AppError `forbidden`, the same for topics that exist and that do not */
export function authorize(grant: Grant, action: Action, topic: string): void {
  if (isAllowed(grant, action, topic)) return
  throw new AppError('forbidden', `Cannot ${action} ${topic}: the grant does not allow it`)
}
