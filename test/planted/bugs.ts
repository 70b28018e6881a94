import { withoutRedis } from '../server/redis.ts'

/** A mistake of one line that a careful engineer could make, and that a test must notice. */
export interface Bug {
  readonly name: string
  /** The promise that the bug breaks. */
  readonly promise: string
  readonly file: string
  /** The part of a line that is replaced. It occurs once in the file. */
  readonly line: string
  readonly replacement: string
  /** The test files that should fail, all of them in `npm test`. */
  readonly expected: readonly string[]
  /** Why this machine cannot run these tests; '' if it can. */
  readonly cannotRun?: string
}

export const bugs: readonly Bug[] = [
  // The log
  {
    name: 'restored-log',
    promise: 'A log that was restored from an older state gets another epoch.',
    file: 'src/log/identity.ts',
    line: 'return tip.epoch === epoch && tip.seq <= head',
    replacement: 'return tip.epoch === epoch && tip.seq <= head + 1',
    expected: ['test/log/identity.test.ts'],
  },
  {
    name: 'key-age',
    promise: 'A key is forgotten at its own age, although the clock was set back after a later entry.',
    file: 'src/log/clock.ts',
    line: 'return Math.min(time, step.time)',
    replacement: 'return step.time',
    expected: ['test/log/memory.test.ts'],
  },
  {
    name: 'failed-commit',
    promise: 'After a failed commit memory takes over all that the commit wrote all the same.',
    file: 'src/log/local.ts',
    line: 'for (let seq = deliveredTo + 1; seq <= transactions.state.head; seq++) {',
    replacement: 'for (let seq = deliveredTo + 1; seq < transactions.state.head; seq++) {',
    expected: ['test/log/sqlite.test.ts'],
  },
  {
    name: 'atomic-list',
    promise: 'A list that publishes to a topic after closing it is refused whole.',
    file: 'src/log/rules.ts',
    line: 'if (closes?.has(topic) || rows.closedAt(topic) > 0)',
    replacement: 'if (rows.closedAt(topic) > 0)',
    expected: ['test/log/memory.test.ts'],
  },
  {
    name: 'exact-gap',
    promise: 'A reader that has got the last trimmed entry gets no gap.',
    file: 'src/log/rules.ts',
    line: 'return lastTrimmed > after ?',
    replacement: 'return lastTrimmed >= after ?',
    expected: ['test/log/memory.test.ts'],
  },
  {
    name: 'early-abandon',
    promise: 'A run is abandoned only when the time after its lease has ended too.',
    file: 'src/log/active-runs.ts',
    line: 'return row ? this.#leaseEnds.get(topic)! + row.graceMs : 0',
    replacement: 'return row ? this.#leaseEnds.get(topic)! : 0',
    expected: ['test/runs/simulator.test.ts'],
  },
  {
    name: 'stop-at-takeover',
    promise: 'A producer that takes over is told of a stop that its predecessor was asked for.',
    file: 'src/log/run-rules.ts',
    line: 'isStopForgotten(row, at.oldestStop) ? 0 : row.stop',
    replacement: 'row.fence > 0 || isStopForgotten(row, at.oldestStop) ? 0 : row.stop',
    expected: ['test/log/memory.test.ts'],
  },
  {
    name: 'known-ends',
    promise: 'A takeover that may have been made has its own lease.',
    file: 'src/log/active-runs.ts',
    line: 'if (before.get(topic)?.fence === fence) {',
    replacement: 'if ((before.get(topic)?.fence ?? Number.POSITIVE_INFINITY) <= fence) {',
    expected: ['test/log/local-runs.test.ts'],
  },
  {
    name: 'stale-note',
    promise: 'A producer in the process of the hub hears at once that another has taken over.',
    file: 'src/runs/producer.ts',
    line: 'info.fence !== this.fence',
    replacement: 'info.fence < this.fence',
    expected: ['test/runs/runs.test.ts'],
  },

  // The hub
  {
    name: 'register-first',
    promise: 'A stream begins at the head at which it registered: nothing published while it opens is lost.',
    file: 'src/hub/cursor.ts',
    line: 'joinedAt: this.#joinedAt, floor',
    replacement: 'joinedAt: this.#context.window.head, floor',
    expected: ['test/hub/race.test.ts'],
  },
  {
    name: 'checkpoint',
    promise: 'A heartbeat is a checkpoint if the position has moved past the last id that was sent.',
    file: 'src/hub/cursor.ts',
    line: 'this.#sent = sent',
    replacement: 'this.#sent = Math.max(sent, this.position)',
    expected: ['test/hub/subscription.test.ts'],
  },
  {
    name: 'deleted-meanwhile',
    promise: 'A topic that is deleted while a stream looks for closes is open.',
    file: 'src/hub/closed-topics.ts',
    line: 'if (close.seq > (this.#deletedTo.get(topic) ?? 0))',
    replacement: 'if (close.seq >= (this.#deletedTo.get(topic) ?? 0))',
    expected: ['test/hub/subscription.test.ts'],
  },
  {
    name: 'window-hole',
    promise: 'After a hole in what was delivered, readers before it read the log and not the window.',
    file: 'src/hub/window.ts',
    line: 'if (frame.seq !== this.#head + 1) this.#forget()',
    replacement: 'if (frame.seq <= this.#head) this.#forget()',
    expected: ['test/hub/window.test.ts'],
  },
  {
    name: 'stalled',
    promise: 'A reader that takes nothing for stallMs is dropped by then, whenever it got its chunk.',
    file: 'src/hub/deadlines.ts',
    line: 'const stallsAt = Math.min(now, this.#handedAt) + this.#stallMs',
    replacement: 'const stallsAt = Math.max(now, this.#handedAt) + this.#stallMs',
    expected: ['test/hub/subscription.test.ts'],
  },
  {
    name: 'latest',
    promise: 'With latest, the gap of skipped entries does not reach beyond the chunk that it precedes.',
    file: 'src/hub/window.ts',
    line: 'passed.findLast((seq) => seq <= chunk.to)',
    replacement: 'passed.at(-1)',
    expected: ['test/hub/window.test.ts'],
  },
  {
    name: 'expiry-while-ending',
    promise: 'A stream that still sends what is due stops at its expiry.',
    file: 'src/hub/deadlines.ts',
    line: 'if (isAtOnce) this.#expiresAt = NEVER',
    replacement: 'if (!isAtOnce) this.#expiresAt = NEVER',
    expected: ['test/hub/subscription.test.ts'],
  },

  // The routes
  {
    name: 'cut-in-character',
    promise: 'The answer to a body that ends inside a UTF-8 character says that the body is incomplete.',
    file: 'src/routes/items.ts',
    line: 'return endsInCharacter(decoder) || isInLine ||',
    replacement: 'return isInLine ||',
    expected: ['test/http/request.test.ts'],
  },
  {
    name: 'body-limit',
    promise: 'A body of exactly the limit is accepted, also without a declared length.',
    file: 'src/routes/bytes.ts',
    line: 'if (buffer.length > maxBytes) return',
    replacement: 'if (buffer.length >= maxBytes) return',
    expected: ['test/http/bytes.test.ts'],
  },
  {
    name: 'poll-position',
    promise: 'The position of a poll is past a gap, so that the next poll does not report it again.',
    file: 'src/routes/poll.ts',
    line: 'if (!subscription.ended || failure) answer.position = subscription.positionId',
    replacement: 'if (failure) answer.position = subscription.positionId',
    expected: ['test/http/poll.test.ts'],
  },

  // Who may do what, and how much of it
  {
    name: 'renewal-grant',
    promise: 'A renewal without topics needs a grant for the topics that the stream has.',
    file: 'src/routes/session.ts',
    line: 'const names = filter && [...filter.topics, ...filter.patterns]',
    replacement: 'const names = topics && [...filter!.topics, ...filter!.patterns]',
    expected: ['test/auth/leak.test.ts'],
  },
  {
    name: 'head-spends-ticket',
    promise: 'HEAD opens no stream, and does not use up a ticket.',
    file: 'src/routes/stream.ts',
    line: 'isHead ? undefined : ticket',
    replacement: 'ticket',
    expected: ['test/auth/auth.test.ts'],
  },
  {
    name: 'rate-credit',
    promise: 'A client that was idle can publish no more at once than its bucket holds.',
    file: 'src/auth/clients.ts',
    line: 'Math.max(now, this.#fullAt.get(address) ?? now)',
    replacement: '(this.#fullAt.get(address) ?? now)',
    expected: ['test/auth/address.test.ts'],
  },

  // The adapters and Redis
  {
    name: 'early-written',
    promise: 'A client that does not read costs at most one chunk in memory.',
    file: 'src/adapters/carrier.ts',
    line: 'if (!isSending || error || socket.writableLength > 0) return',
    replacement: 'if (!isSending || error) return',
    expected: ['test/adapters/carrier.test.ts'],
  },
  {
    name: 'redis-epoch',
    promise: 'Only the first node that notices a change of the log begins a new epoch; the other nodes take it over.',
    file: 'src/log/redis/lua/open.ts',
    line: 'local isLostToCaller = isKnown and isRewound()',
    replacement: 'local isLostToCaller = isRewound()',
    expected: ['test/log/redis.test.ts'],
    cannotRun: withoutRedis,
  },
]
