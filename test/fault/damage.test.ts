import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, describe } from 'vitest'
import type { Log, Message } from '../../src/log/log.ts'
import { Filter } from '../../src/topic.ts'
import { runs, seed } from '../seed.ts'
import { type RedisServer, withoutRedis } from '../server/redis.ts'
import { type Node, test } from '../server/redis-nodes.ts'
import { post } from '../server/resuming.ts'
import { cleanUp, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

const all = { count: 100_000, bytes: 1e9 }
const everything = Filter.parse(['**', '$state'])
/** Keys that may be lost at any time: leases, questions and rates. */
const EPHEMERAL = /:(nodes|wire|rate:.*)$/
/** The time after a fault within which every process has checked the log, and every topic if the log is small. */
const SETTLED_MS = 2500

describe.skipIf(withoutRedis)(
  `a log in Redis that lost keys${withoutRedis && ` (skipped: ${withoutRedis})`}`,
  { timeout: 360_000, concurrent: true },
  () => {
    const keysOf = async (server: RedisServer, hub: string) => {
      const keys: string[] = []
      let cursor = '0'
      do {
        const [next, found] = (await server.command(['SCAN', cursor, 'MATCH', `tidings:{${hub}}:*`])) as [
          string,
          string[],
        ]
        cursor = next
        keys.push(...found)
      } while (cursor !== '0')
      return keys.filter((key) => !EPHEMERAL.test(key)).map((key) => key.slice(`tidings:{${hub}}`.length))
    }
    /** Writes every kind of entry and state; `WRITTEN` lists what is kept of it. */
    const write = async (log: Log) => {
      const say = (topic: string, data: string, more: Partial<Message> = {}) => log.append([{ topic, data, ...more }])
      for (let i = 0; i < 5; i++) await say('trimmed', `${i}`, { key: `k${i}` })
      await say('live', 'first', { key: 'first' })
      await say('live', 'second')
      await log.append([{ topic: 'closed', data: 'last word', close: true }])
      await say('blank', 'x')
      const [blank] = await say('blank', 'erased close', { close: true })
      await log.erase('blank', blank!.seq)
      await say('forgotten', 'x')
      await log.erase('forgotten')
      await say('$state', 'state')
    }
    const options = { retention: { topicCount: 3 } }
    const epochsOf = (restarts: Node['restarts']) => restarts.map(({ epoch }) => epoch)
    const dataOf = async (log: Log, filter = everything) => {
      const said: string[] = []
      for (let after = -1, to = 0; to > after; ) {
        after = to
        const { entries, scannedTo } = await log.read(after, all, filter)
        said.push(...entries.map(({ topic, data, close }) => `${topic}:${data ?? close}`))
        to = scannedTo
      }
      return said
    }
    const WRITTEN = [
      ...['trimmed:2', 'trimmed:3', 'trimmed:4', 'live:first', 'live:second', 'closed:last word', 'blank:x'],
      ...['blank:true', '$state:state'],
    ]

    afterAll(cleanUp)

    test('after the loss of any one key notifies quiet followers within seconds, begins one new epoch, and works with what is left', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const model = await join(server.url('model'), options)
      await write(model.log)
      const keys = await keysOf(server, 'model')
      expect(keys.toSorted()).toEqual(
        [
          ...['$state', 'blank', 'closed', 'live', 'trimmed'].map((topic) => `:of:${topic}`),
          ...['blank', 'emptied', 'erased', 'key', 'keys', 'log', 'meta', 'names', 'topics', 'trimmed'].map(
            (name) => `:${name}`,
          ),
        ].toSorted(),
      )
      // One after another, so that a busy machine is in time to connect them all.
      const hubs: { key: string; n: number; nodes: Node[] }[] = []
      for (const [n, key] of keys.entries()) {
        const url = server.url(`hub-${n}`)
        const nodes = [await join(url, options), await join(url, options)]
        await write(nodes[0]!.log)
        hubs.push({ key, n, nodes })
      }
      const check = async ({ key, n, nodes }: (typeof hubs)[number]) => {
        const [{ log }] = nodes as [Node]
        await expect.poll(() => nodes.map(({ got }) => got.at(-1)?.data)).toEqual(['state', 'state'])
        const { epoch } = log
        const head = nodes[0]!.got.at(-1)!.seq
        expect(await server.command(['DEL', `tidings:{hub-${n}}${key}`])).toBe(1)
        await expect
          .poll(() => nodes.map(({ restarts }) => restarts.length), { timeout: 2 * SETTLED_MS, message: key })
          .toEqual([1, 1])
        expect([key, log.epoch]).not.toEqual([key, epoch])

        const left =
          key === ':log' ? ['blank:true'] : WRITTEN.filter((said) => key !== ':blank' || said !== 'blank:true')
        expect([key, await dataOf(log)]).toEqual([key, left])
        expect([key, await dataOf(log, Filter.parse(['live', 'closed', 'trimmed']))]).toEqual([
          key,
          left.filter((said) => /^(live|closed|trimmed):/.test(said)),
        ])
        expect((await log.read(0, all, Filter.parse(['live']))).trimmed).toEqual({ to: head, exact: false })
        const [next] = await log.append([{ topic: 'live', data: 'next', key: 'next' }])
        expect([key, next]).toEqual([key, { seq: head + 1, time: expect.any(Number), duplicate: false }])
        const isKeyKnown = key !== ':key'
        expect([
          key,
          await log.append([{ topic: 'live', data: 'first', key: 'first' }]).then(([first]) => first?.duplicate),
        ]).toEqual([key, isKeyKnown])
        for (const topic of ['closed', 'blank'])
          await expect([key, topic, await log.append([{ topic, data: 'x' }]).catch(({ code }) => code)]).toEqual([
            key,
            topic,
            'topic_closed',
          ])
        expect([key, (await log.topics({ prefix: '', after: '', limit: 10 })).map(({ topic }) => topic)]).toEqual([
          key,
          key === ':log' ? ['blank', 'closed', 'live'] : ['$state', 'blank', 'closed', 'live', 'trimmed'],
        ])
        expect([key, await log.erase('live', next!.seq)]).toEqual([key, 1])
        await log.erase('closed')
        await log.append([{ topic: 'closed', data: 'open again' }])
        await log.check()
        await expect.poll(() => nodes[1]!.got.at(-1)?.data).toBe('open again')
        await pause(SETTLED_MS)
        expect([key, nodes.map(({ restarts }) => epochsOf(restarts))]).toEqual([key, [[log.epoch], [log.epoch]]])
        expect([key, nodes[1]!.log.epoch]).toEqual([key, log.epoch])
      }
      await Promise.all(hubs.map(check))
    })

    test('refuses the first call after a key was lost, and answers the next one under a new epoch', {
      concurrent: false,
    }, async ({ nodes: { serve, join }, expect }) => {
      const server = await serve()
      const named = Filter.parse(['live'])
      const acts: Record<string, (log: Log) => Promise<unknown>> = {
        append: (log) => log.append([{ topic: 'live', data: 'x' }]),
        read: (log) => log.read(0, all, named),
        scan: (log) => log.read(0, all, Filter.parse(['live', '**'])),
        last: (log) => log.seek({ last: 1 }, named),
        topics: (log) => log.topics({ names: ['live'] }),
        page: (log) => log.topics({ prefix: '', after: '', limit: 10 }),
        erase: (log) => log.erase('live'),
        'erase one': (log) => log.erase('live', 1),
      }
      for (const [key, more] of [
        [':log', { since: (log: Log) => log.seek({ since: 0 }, named) }],
        [':of:live', {}],
      ] as const)
        for (const [name, act] of Object.entries({ ...acts, ...more })) {
          const hub = `hub${key}-${name}`.replaceAll(/[: ]/g, '-')
          const { log, restarts } = await join(server.url(hub), options)
          await write(log)
          await server.command(['DEL', `tidings:{${hub}}${key}`])
          expect([key, name, await act(log).catch(({ code }) => code)]).toEqual([key, name, 'log_unavailable'])
          expect([key, name, epochsOf(restarts)]).toEqual([key, name, [log.epoch]])
          await act(log)
          expect([key, name, epochsOf(restarts)]).toEqual([key, name, [log.epoch]])
        }
    })

    test('finds no damage in an intact log after random histories, and repairs the loss of random keys', {
      concurrent: false,
      timeout: runs(180_000, 600_000),
    }, async ({ nodes: { serve, join }, expect }) => {
      const server = await serve()
      const topics = ['a', 'b', 'c/x', 'c/y', '$s']
      const anyTopic = fc.constantFrom(...topics)
      const message = fc.record(
        { topic: anyTopic, data: fc.constantFrom('', 'x', 'longer'), key: fc.constantFrom('1', '2', '3', '4') },
        { requiredKeys: ['topic', 'data'] },
      )
      const act = fc.oneof(
        { weight: 6, arbitrary: fc.array(message, { minLength: 1, maxLength: 4 }).map((batch) => ({ batch })) },
        { weight: 1, arbitrary: anyTopic.map((topic) => ({ batch: [{ topic, close: true as const }] })) },
        { weight: 2, arbitrary: fc.record({ erase: fc.nat(30), topic: anyTopic }) },
        { weight: 1, arbitrary: anyTopic.map((forget) => ({ forget })) },
        { weight: 2, arbitrary: anyTopic.map((claim) => ({ claim })) },
        { weight: 1, arbitrary: anyTopic.map((stop) => ({ stop })) },
        {
          weight: 2,
          arbitrary: fc.record({ topic: anyTopic, close: fc.constantFrom(true as const, undefined) }).map((of) => ({
            batch: [{ topic: of.topic, data: 'of a run', run: 't', ...(of.close && { close: of.close }) }],
          })),
        },
      )
      const REFUSED = /key_conflict|topic_closed|run_taken|run_lost/
      let hubs = 0
      await fc.assert(
        fc.asyncProperty(
          fc.array(act, { minLength: 1, maxLength: 25 }),
          fc.record({ count: fc.integer({ min: 1, max: 8 }), topicCount: fc.integer({ min: 1, max: 3 }) }),
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 1, max: 3 }),
          fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
          async (acts, retention, trimmedCount, keyCount, choices) => {
            const hub = `random-${++hubs}`
            const { log, restarts } = await join(server.url(hub), { retention, trimmedCount, keyCount })
            const { epoch } = log
            const play = async (of: typeof acts) => {
              for (const one of of) {
                if ('batch' in one) await log.append(one.batch).catch(({ code }) => expect(code).toMatch(REFUSED))
                else if ('claim' in one)
                  await log.runs
                    .claim(one.claim, { token: 't', leaseMs: 1e6, graceMs: 0 })
                    .catch(({ code }) => expect(code).toMatch(REFUSED))
                else if ('stop' in one) await log.runs.stop(one.stop).catch(({ code }) => expect(code).toMatch(REFUSED))
                else if ('erase' in one) await log.erase(one.topic, one.erase)
                else await log.erase(one.forget)
                await log.topics({ names: topics })
                await log.check()
              }
            }
            await play(acts)
            expect([restarts, log.epoch]).toEqual([[], epoch])

            // A repaired log shows no damage either.
            // An empty stream holds nothing that its deletion could lose, and probes fill the index of closed topics again.
            const isEmpty = (await server.command(['XLEN', `tidings:{${hub}}:log`])) === 0
            const keys = (await keysOf(server, hub)).filter((key) => key !== ':closed' && !(isEmpty && key === ':log'))
            const before = await dataOf(log)
            const gone = new Set(choices.map((choice) => keys[choice % keys.length]!))
            await server.command(['DEL', ...[...gone].map((key) => `tidings:{${hub}}${key}`)])
            for (let tries = 0; tries < 3 && restarts.length === 0; tries++)
              await log.topics({ names: topics }).catch(() => {})
            expect([gone, epochsOf(restarts)]).toEqual([gone, [log.epoch]])
            // A run whose row is gone is ended.
            if (![':log', ':blank', ':runs'].some((key) => gone.has(key)))
              expect([gone, await dataOf(log)]).toEqual([gone, before])
            await play(acts)
            expect([gone, epochsOf(restarts)]).toEqual([gone, [log.epoch]])
            await log.close()
            await server.command(['FLUSHALL']) // keysOf looks at the keys of all hubs
          },
        ),
        { seed, numRuns: runs(15, 500) },
      )
    })

    test('fills the index of closed topics again', async ({ nodes: { serve, join }, expect }) => {
      const server = await serve()
      const { log, restarts } = await join(server.url(), { retention: { count: 1 } })
      const index = 'tidings:{hub}:closed'
      for (const topic of ['a', 'b']) await log.append([{ topic, close: true }])
      await log.append([{ topic: 'c', data: 'x' }]) // trims both closes
      expect(await server.command(['ZRANGE', index, '0', '-1'])).toEqual(['a', 'b'])
      await server.command(['DEL', index])
      await expect.poll(() => server.command(['ZRANGE', index, '0', '-1'])).toEqual(['a', 'b'])
      expect(restarts).toEqual([])
    })

    test('notifies followers when its server evicts keys, and works again once the evictions have stopped', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve({ appendonly: 'no', maxmemory: '3mb', 'maxmemory-policy': 'allkeys-lru' })
      const nodes = [await join(server.url()), await join(server.url())]
      const { log } = nodes[0]!
      const { epoch } = log
      const evicted = async () => Number(/evicted_keys:(\d+)/.exec(String(await server.command(['INFO', 'stats'])))![1])
      for (let i = 0; (await evicted()) < 100 && i < 5000; i++)
        await log
          .append(Array.from({ length: 20 }, (_, k) => ({ topic: `t/${(i * 20 + k) % 500}`, data: 'x'.repeat(100) })))
          .catch(({ code }) => expect(code).toMatch(/log_unavailable|outcome_unknown/))
      expect(await evicted()).toBeGreaterThanOrEqual(100)
      for (const { restarts } of nodes) await expect.poll(() => restarts.length).toBeGreaterThan(0)
      expect(log.epoch).not.toBe(epoch)
      await server.command(['CONFIG', 'SET', 'maxmemory', '0'])
      await server.command(['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'])
      await pause(SETTLED_MS)
      const before = nodes.map(({ restarts }) => restarts.length)
      const [said] = await log.append([{ topic: 'new', data: 'new' }])
      for (const { got } of nodes) await expect.poll(() => got.at(-1)?.seq).toBe(said!.seq)
      expect((await dataOf(log)).at(-1)).toBe('new:new')
      await pause(SETTLED_MS)
      expect(nodes.map(({ restarts }) => restarts.length)).toEqual(before)
      expect(nodes[0]!.log.epoch).toBe(nodes[1]!.log.epoch)
    })

    test('ends the stream of a quiet reader, which gets a hub.gap with reason epoch when it resumes', async ({
      nodes: { serve },
      expect,
      onTestFinished,
    }) => {
      const server = await serve()
      const hub = await start({ LOG: server.url() })
      const { id } = (await post<{ id: string }>(`${hub.url}/send?topic=a`, { data: 'x' }))!
      const stream = new Stream(hub.port, '/event?topic=a', { lastEventId: id })
      await stream.until(() => stream.reader.control('open').length > 0)
      await server.command(['DEL', 'tidings:{hub}:of:a'])
      await stream.until(() => stream.ended)
      const back = new Stream(hub.port, '/event?topic=a', { lastEventId: stream.reader.lastEventId })
      onTestFinished(() => void back.socket.destroy())
      await back.until(() => back.reader.control('gap').length > 0)
      expect(back.reader.control('gap')).toMatchObject([{ reason: 'epoch', from: id, exact: false }])
      await post(`${hub.url}/send?topic=a`, { data: 'y' })
      await back.until(() => back.reader.data.at(-1) === 'y')
    })
  },
)
