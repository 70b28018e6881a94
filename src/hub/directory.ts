import { AppError, quote } from '../errors.ts'
import type { Log, TopicState } from '../log/log.ts'
import type { RunState } from '../log/runs.ts'
import { isOwn } from '../topic.ts'
import type { ReadableLog } from './log-reader.ts'
import { formatPosition, parsePosition } from './position.ts'

/**
 * A topic as `GET /topics` shows it.
 *
 * @example
 * const { kept, readers, closed }: Topic = await hub.directory.get('news/today')
 */
export interface Topic {
  readonly topic: string
  /** Position of the newest entry, kept or gone. */
  readonly lastId: string | null
  /** How many entries are kept. */
  readonly kept: number
  /** How many open streams receive the topic, in all processes that share the log. */
  readonly readers: number
  readonly closed: boolean
  /** The run of the topic, if anybody has claimed the topic. */
  readonly run?: Omit<RunState, 'topic'>
}

export interface TopicsQuery {
  /** Only topics whose names begin with one of these are looked at. Sorted, and none is a prefix of another. */
  readonly prefixes: readonly string[]
  readonly isShown: (topic: string) => boolean
  /** The name after which the page begins. */
  readonly after: string
  readonly limit: number
  /** Aborts the search when its client has gone. */
  readonly signal?: AbortSignal
}

/** Lists topics and deletes them. */
export class Directory {
  readonly #opened: () => Promise<ReadableLog>
  readonly #readersOf: (topic: string) => number

  /** @param readersOf how many open streams of this process receive a topic */
  constructor(opened: () => Promise<ReadableLog>, readersOf: (topic: string) => number) {
    this.#opened = opened
    this.#readersOf = readersOf
  }

  /** A page of the shown topics that have kept entries or are closed, by name. After a page of `limit` topics there may be more. */
  async list({ prefixes, isShown, after, limit, signal }: TopicsQuery): Promise<readonly Topic[]> {
    const { log, logReader } = await this.#opened()
    const found: TopicState[] = []
    for (const prefix of prefixes)
      for await (const page of logReader.pagesOfTopics(prefix, after)) {
        found.push(...page.filter(({ topic }) => isShown(topic)))
        if (found.length >= limit || signal?.aborted) return this.#describe(found.slice(0, limit), log)
      }
    return this.#describe(found, log)
  }

  /** The state of one topic, even if nothing was published to it yet. */
  async get(name: string): Promise<Topic> {
    const { log, logReader } = await this.#opened()
    const [topic] = await this.#describe(await logReader.topics({ names: [name] }), log)
    return topic!
  }

  /**
   * With an id, erases one event of a topic for good. Without an id, erases the topic's whole history, reopens the topic, and forgets a stop
   * that was asked before its first run. See `Log.erase`.
   *
   * @returns how many events were erased
   * @throws AppError `forbidden` (a `$` topic), `nothing_to_delete`, and those of `Log.erase`
   */
  async erase(name: string, id?: string): Promise<number> {
    if (isOwn(name)) throw new AppError('forbidden', `Cannot delete from ${quote(name)}: it is the hub's own`)
    const { log, logReader } = await this.#opened()
    if (id === undefined) {
      const [[state], [run]] = await Promise.all([logReader.topics({ names: [name] }), log.runs.get([name])])
      const erased = await log.erase(name)
      if (erased === 0 && state!.count === 0 && state!.closed === 0 && !run)
        throw new AppError('nothing_to_delete', `Cannot delete topic ${quote(name)}: it does not exist`)
      return erased
    }
    const position = parsePosition(id)
    // The log may have been replaced since the id was given.
    const erased = position?.epoch === log.epoch ? await log.erase(name, position.seq) : 0
    if (erased === 0)
      throw new AppError('nothing_to_delete', `Cannot delete event ${quote(id)}: topic ${quote(name)} does not have it`)
    return erased
  }

  /** Answers when other processes that share the log ask how many readers each topic has in this process. */
  answerPeers({ peers }: Log): void {
    peers?.onAsked((names) => JSON.stringify((JSON.parse(names) as string[]).map(this.#readersOf)))
  }

  async #describe(states: readonly TopicState[], { epoch, peers, runs }: Log): Promise<readonly Topic[]> {
    if (states.length === 0) return []
    const names = states.map(({ topic }) => topic)
    const [others, found] = await Promise.all([peers?.ask(JSON.stringify(names)), runs.get(names)])
    const counts = [names.map(this.#readersOf), ...(others ?? []).map((answer) => JSON.parse(answer) as number[])]
    return states.map(({ topic, last, count, closed }, i) => ({
      topic,
      lastId: last === 0 ? null : formatPosition(epoch, last),
      kept: count,
      readers: counts.reduce((sum, of) => sum + of[i]!, 0),
      closed: closed > 0,
      ...(found[i] && { run: withoutTopic(found[i]) }),
    }))
  }
}

function withoutTopic({ topic: _, ...run }: RunState): Omit<RunState, 'topic'> {
  return run
}
