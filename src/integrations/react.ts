import { useEffect, useMemo, useSyncExternalStore } from 'react'
import type { Client, EventOf, Schemas, State } from '../../public/client.js'
import { type RunOptions, RunStore, type RunView } from './run-store.ts'
import { nameOf, type TopicOptions, TopicStore, type TopicView } from './topic-store.ts'

export type { RunOptions, RunView, TopicOptions, TopicView }

/**
 * The newest events of topics and patterns, while the component is mounted. On a server there are none, and nothing is connected.
 *
 * @example
 * function Room({ name }: { name: string }) {
 *   const { events } = useTopic(hub, `chat/${name}`, { last: 50 })
 *   return events.map(({ data }) => data).join(' · ')
 * }
 */
export function useTopic<const S extends Schemas | undefined = undefined>(
  hub: Client,
  topics: string | readonly string[],
  options: TopicOptions<S> = {},
): TopicView<EventOf<S>> {
  const name = nameOf(topics, options)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the name stands for the topics and the options
  const store = useMemo(() => new TopicStore<S>(hub, topics, options), [hub, name])
  useEffect(() => {
    store.options = options
  })
  return useSyncExternalStore(store.listen, store.view, store.serverView)
}

/**
 * The newest event of a topic, beginning with the one that the hub has kept.
 *
 * @example
 * function Price() {
 *   const { event } = useLatest(hub, 'prices/ACME')
 *   return event ? event.data : '…'
 * }
 */
export function useLatest<const S extends Schemas | undefined = undefined>(
  hub: Client,
  topic: string,
  options: TopicOptions<S> = {},
): { readonly event: EventOf<S> | undefined; readonly state: State } {
  const { events, state } = useTopic<S>(hub, topic, { last: 1, ...options, keep: 1 })
  return { event: events[0], state }
}

/**
 * The events of a run from its first one, how it ended, and a function that asks its producer to stop.
 *
 * @example
 * import { createElement } from 'react'
 * function StopButton({ topic }: { topic: string }) {
 *   const { outcome, isStopAsked, stop } = useRun(hub, topic)
 *   return createElement('button', { onClick: stop, disabled: isStopAsked || outcome !== undefined }, 'Stop')
 * }
 */
export function useRun<const S extends Schemas | undefined = undefined>(
  hub: Client,
  topic: string,
  options: RunOptions<S> = {},
): RunView<EventOf<S>> {
  const name = nameOf(topic, options)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the name stands for the topic and the options
  const store = useMemo(() => new RunStore<S>(hub, topic, options), [hub, name])
  useEffect(() => {
    store.options = options
  })
  return useSyncExternalStore(store.listen, store.view, store.serverView)
}
