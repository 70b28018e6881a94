import type { Log } from '../log.ts'
import type { Commands } from './commands.ts'
import type { Commits } from './commits.ts'
import type { Delivery } from './delivery.ts'
import type { Identity } from './identity.ts'
import { eraseEntry, forgetTopic } from './lua/erase.ts'
import type { Announced } from './run-changes.ts'

/** Most entries of a topic that one step erases. Appends are committed between two steps. */
const STEP = 1000

interface Parts {
  readonly identity: Identity
  readonly commands: Commands
  readonly commits: Commits
  readonly delivery: Delivery
  readonly topics: Log['topics']
  readonly runsChanged: (announced: Announced) => void
  readonly trimmedCount: number
}

/** The function `erase` of the log. Runs between commits, and resolves when this node's followers have got the erasure. */
export function eraser({
  identity,
  commands,
  commits,
  delivery,
  topics,
  runsChanged,
  trimmedCount,
}: Parts): Log['erase'] {
  /** @param epoch the log in which the caller found the seq */
  async function eraseOne(topic: string, seq: number, epoch: string): Promise<number> {
    await identity.verification?.catch(() => {}) // the caller that started the verification handles its failure
    if (epoch !== identity.epoch) return 0
    const erasureCount = (await commands.change(eraseEntry, topic, seq, trimmedCount)) as number
    if (erasureCount === 0) return 0
    await delivery.untilErased(erasureCount)
    return 1
  }

  async function forget(topic: string): Promise<number> {
    const [state] = await topics({ names: [topic] })
    const upTo = state!.last
    let erased = 0
    for (let isMore = true; isMore; )
      await commits.between(async () => {
        const reply = await commands.change(forgetTopic, topic, upTo, STEP, trimmedCount, erased)
        const [count, more, erasureCount, announced] = reply as [number, number, number, Announced]
        runsChanged(announced)
        erased += count
        isMore = more > 0
        if (!isMore) await delivery.untilErased(erasureCount)
      })
    return erased
  }

  return async (topic, seq) => {
    const { epoch } = identity
    return seq === undefined ? forget(topic) : commits.between(() => eraseOne(topic, seq, epoch))
  }
}
