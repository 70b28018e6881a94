import {
  computed,
  getCurrentInstance,
  type MaybeRefOrGetter,
  onMounted,
  onScopeDispose,
  type Ref,
  shallowRef,
  toValue,
  watch,
} from 'vue'
import type { Client, EventOf, Schemas, State } from '../../public/client.js'
import { type RunOptions, RunStore, type RunView } from './run-store.ts'
import { type TopicOptions, TopicStore, type TopicView } from './topic-store.ts'

export type { RunOptions, RunView, TopicOptions, TopicView }

/**
 * The newest events of topics and patterns, until the component or scope ends. Topics may be a ref or a getter: other topics begin anew. On a
 * server there are no events, and nothing is connected.
 *
 * @example
 * import { computed, ref } from 'vue'
 * const room = ref('room-1')
 * const view = useTopic(hub, () => `chat/${room.value}`, { last: 50 })
 * const lines = computed(() => view.value.events.map(({ data }) => data))
 */
export function useTopic<const S extends Schemas | undefined = undefined>(
  hub: Client,
  topics: MaybeRefOrGetter<string | readonly string[]>,
  options: TopicOptions<S> = {},
): Readonly<Ref<TopicView<EventOf<S>>>> {
  return useStore(topics, () => new TopicStore<S>(hub, toValue(topics), options))
}

/**
 * The newest event of a topic, beginning with the one that the hub has kept.
 *
 * @example
 * import { computed } from 'vue'
 * const { event } = useLatest(hub, 'prices/ACME')
 * const price = computed(() => event.value?.data ?? '…')
 */
export function useLatest<const S extends Schemas | undefined = undefined>(
  hub: Client,
  topic: MaybeRefOrGetter<string>,
  options: TopicOptions<S> = {},
): { readonly event: Readonly<Ref<EventOf<S> | undefined>>; readonly state: Readonly<Ref<State>> } {
  const view = useTopic<S>(hub, topic, { last: 1, ...options, keep: 1 })
  return { event: computed(() => view.value.events[0]), state: computed(() => view.value.state) }
}

/**
 * The events of a run from its first one, how it ended, and a function that asks its producer to stop. The topic may be a ref or a getter.
 *
 * @example
 * import { computed, ref } from 'vue'
 * const answer = ref('answer-1')
 * const run = useRun(hub, () => `ai/${answer.value}`)
 * const text = computed(() => run.value.events.map(({ data }) => data).join(''))
 */
export function useRun<const S extends Schemas | undefined = undefined>(
  hub: Client,
  topic: MaybeRefOrGetter<string>,
  options: RunOptions<S> = {},
): Readonly<Ref<RunView<EventOf<S>>>> {
  return useStore(topic, () => new RunStore<S>(hub, toValue(topic), options))
}

/** The view of a store, and of another store when the topics have changed. */
function useStore<View>(topics: MaybeRefOrGetter<unknown>, storeOf: () => Store<View>): Readonly<Ref<View>> {
  const view = shallowRef(storeOf().serverView())
  let leave = () => {}
  const listen = () => {
    leave()
    const store = storeOf()
    view.value = store.view()
    leave = store.listen(() => {
      view.value = store.view()
    })
  }
  const start = () => {
    listen()
    watch(() => JSON.stringify(toValue(topics)), listen)
  }
  onScopeDispose(() => leave())
  // A component is mounted in a browser only.
  if (getCurrentInstance()) onMounted(start)
  else start()
  return view
}

interface Store<View> {
  view(): View
  serverView(): View
  listen(listener: () => void): () => void
}
