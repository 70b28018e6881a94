import type { Random } from '../../server/random.ts'
import { Stream } from '../../server/stream.ts'

/** A reader of one topic over sockets, which comes back with its last id until it is told how the topic ended. */
export class RunReader {
  readonly topic: string
  readonly got: { readonly id: string; readonly data: string }[] = []
  readonly gaps: string[] = []
  /** How the topic ended, each time that this was told; `204` is told to a reader who comes back after the end. */
  readonly ends: string[] = []
  endedAt: number | undefined
  streams = 0
  readonly ended: Promise<void>
  #lastEventId: string | undefined
  #isGivenUp = false
  #stream: Stream | undefined

  /** @param port of a node that is up */
  constructor(topic: string, port: () => Promise<number>, random: Random) {
    this.topic = topic
    this.ended = this.#read(port, random)
  }

  /** Ends a reader whose topic has not ended. */
  giveUp(): Promise<void> {
    this.#isGivenUp = true
    this.#stream?.socket.destroy()
    return this.ended
  }

  async #read(port: () => Promise<number>, random: Random): Promise<void> {
    while (this.ends.length === 0 && !this.#isGivenUp) {
      const from = this.#lastEventId === undefined ? '&from=earliest' : ''
      const stream = new Stream(await port(), `/event?topic=${this.topic}${from}`, { lastEventId: this.#lastEventId })
      this.#stream = stream
      this.streams++
      const leaves = random() < 0.5 ? random.whole(1, 40) : Number.POSITIVE_INFINITY
      let taken = 0
      const isOver = () => stream.closed || stream.ended || stream.status === 204
      while (!isOver() && taken < leaves) {
        await stream.until(() => isOver() || stream.reader.events.length > taken)
        for (; taken < stream.reader.events.length; taken++) this.#take(stream.reader.events[taken]!)
      }
      if (stream.status === 204) this.#end('204')
      stream.socket.destroy()
      if (this.ends.length === 0) await new Promise((resolve) => setTimeout(resolve, random.whole(5, 100)))
    }
  }

  #take({ event, data, id }: { event?: string | undefined; data: string; id?: string | undefined }): void {
    if (id !== undefined) this.#lastEventId = id
    if (event === 'hub.gap') this.gaps.push(data)
    if (event === 'hub.closed') this.#end(String(JSON.parse(data).outcome))
    if (!event?.startsWith('hub.')) this.got.push({ id: id!, data })
  }

  #end(outcome: string): void {
    this.ends.push(outcome)
    this.endedAt = performance.now()
  }
}
