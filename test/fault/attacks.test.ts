import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { hurried } from '../server/preloaded.ts'
import { cleanUp, fdsOf, folderInMemory, type Server, start, withoutProc } from '../server/server.ts'
import type { Aborts } from './hostile/aborts.ts'
import type { Calls } from './hostile/answers.ts'
import { aside } from './hostile/aside.ts'
import type { Bodies } from './hostile/bodies.ts'
import { Friend } from './hostile/friend.ts'
import type { Patterns } from './hostile/patterns.ts'
import type { Slow } from './hostile/slow.ts'
import type { Topics } from './hostile/topics.ts'

/** The attacks of hostile.test.ts at small sizes, one after another, without measuring memory and delays. */

const SENDERS = 20
const MAX_ENTRIES = 1000
/** Sockets of the test's own requests. */
const SPARE_FDS = 10

const settings = {
  RETENTION_COUNT: `${MAX_ENTRIES}`,
  BODY_TIMEOUT: '500ms',
  MAX_STREAM_TIME: '1s',
  HEARTBEAT: '5m', // so that heartbeats do not find readers that have gone
  PUBLISH_RATE: '100000',
}

describe.skipIf(withoutProc)(`a hub on Node serves others, and is left as it was, ${withoutProc}`, () => {
  let server: Server
  let friend: Friend
  let fds: number

  beforeAll(async () => {
    server = await start({ ...settings, LOG: `sqlite:${folderInMemory()}/hub.db`, ...hurried(10) })
    friend = await Friend.of(server)
    fds = fdsOf(server.serves)
  })
  afterEach(async () => {
    await friend.isServed()
    await expect.poll(server.readers).toBe(1)
    await expect.poll(() => fdsOf(server.serves)).toBeLessThanOrEqual(fds + SPARE_FDS)
  })
  afterAll(cleanUp)

  const attacker = <Known extends Calls>(module: string) => {
    const attacker = aside<Known>(module, server.port)
    onTestFinished(attacker.stop)
    return attacker
  }

  test('while senders of one byte a second are refused', async () => {
    const slow = attacker<Slow>('slow.ts')
    await slow.ask('begin', SENDERS, 0)
    await friend.isServed()
    const endings = await slow.ask('endings', 10_000)
    for (const [kind, { statuses, closed }] of Object.entries(endings))
      expect([kind, statuses, closed]).toEqual([kind, { 408: SENDERS }, SENDERS])
  })

  test('while bodies that are too large, too deep, compressed or in too many parts are all refused', async () => {
    expect(await attacker<Bodies>('bodies.ts').ask('send', 1)).toEqual([])
  })

  test('while readers disconnect after any number of bytes', async () => {
    const aborts = attacker<Aborts>('aborts.ts')
    await aborts.ask('prepare')
    await aborts.ask('come', 200)
  })

  test('while topics are flooded, of which as many as are kept can be listed', async () => {
    await attacker<Topics>('topics.ts').ask('explode', 2 * MAX_ENTRIES)
    const response = await fetch(`${server.url}/topics?prefix=bang/&limit=1000`)
    const { topics } = (await response.json()) as { topics: unknown[] }
    expect(topics.length).toBeGreaterThan(MAX_ENTRIES / 2)
    expect(topics.length).toBeLessThanOrEqual(MAX_ENTRIES)
  })

  test('while patterns and topics are expensive to match, live and in history', async () => {
    const patterns = attacker<Patterns>('patterns.ts')
    await patterns.ask('prepare')
    await patterns.ask('begin', 10)
    await patterns.ask('publish', 20, 300)
    await friend.isServed()
    await patterns.ask('fill', MAX_ENTRIES)
    await patterns.ask('resume', MAX_ENTRIES - 100, 300)
    await friend.isServed()
    await patterns.ask('end')
  })
})
