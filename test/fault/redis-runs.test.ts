import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, describe } from 'vitest'
import type { Entry, Log } from '../../src/log/log.ts'
import type { Claim } from '../../src/log/runs.ts'
import { Filter } from '../../src/topic.ts'
import { clock, withoutClock } from '../server/clock.ts'
import { type RedisServer, withoutRedis } from '../server/redis.ts'
import { test } from '../server/redis-nodes.ts'
import { cleanUp } from '../server/server.ts'

const SYNCED = { appendonly: 'yes', appendfsync: 'always' }
const claim = (token: string, more: Partial<Claim> = {}): Claim => ({ token, leaseMs: 60_000, graceMs: 0, ...more })
const entriesOf = async (log: Log, topic = 'a') =>
  (await log.read(0, { count: 1000, bytes: 1e9 }, Filter.parse([topic]))).entries
const outcomeOf = async (log: Log, topic = 'a') => (await log.runs.get([topic]))[0]?.outcome
const ends = (entries: readonly Entry[]) => entries.filter(({ close }) => close).map(({ outcome }) => outcome)
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    ({ code }) => code,
  )

describe.skipIf(withoutRedis)(
  `runs on many nodes over Redis${withoutRedis && ` (skipped: ${withoutRedis})`}`,
  { timeout: 180_000, concurrent: true },
  () => {
    afterAll(cleanUp)

    test('another node ends the run of a node that has gone, once for all nodes', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const [one, two, three] = [await join(server), await join(server), await join(server)]
      await one.log.runs.claim('a', claim('t', { leaseMs: 300, graceMs: 200 }))
      await one.log.append([{ topic: 'a', data: '1', run: 't' }])
      await one.log.close()
      for (const { got, log } of [two, three]) {
        await expect.poll(() => got.at(-1)).toMatchObject({ topic: 'a', close: true, outcome: 'abandoned' })
        expect(ends(await entriesOf(log))).toEqual(['abandoned'])
      }
      await pause(1200) // two more looks of each node
      for (const { got } of [two, three]) expect(ends(got)).toEqual(['abandoned'])
    })

    test('a close as abandoned is refused if the producer has given a sign of life since it was decided', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const [one, two] = [await join(server), await join(server)]
      await one.log.runs.claim('a', claim('t'))
      const end = { topic: 'a', close: true, outcome: 'abandoned', run: 't' } as const
      expect(await codeOf(two.log.append([end]))).toBe('run_taken')
      expect(await entriesOf(two.log)).toEqual([])
    })

    test('watchers of every node hear once of each claim, stop, end and deletion', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const [one, two] = [await join(server), await join(server)]
      const heard = [one, two].map(({ log }) => {
        const topics: string[] = []
        log.runs.watch((topic) => topics.push(topic))
        return topics
      })
      const all: string[] = []
      const says = async (...topics: string[]) => {
        all.push(...topics)
        await expect.poll(() => heard).toEqual([all, all])
      }
      await one.log.runs.claim('a', claim('t', { key: 'k' }))
      await says('a')
      await two.log.runs.claim('a', claim('t2', { key: 'k' }))
      await says('a')
      await one.log.runs.stop('a')
      await says('a')
      await one.log.append([{ topic: 'a', data: 'x', run: 't2' }])
      await two.log.runs.claim('b', claim('t'))
      await says('b')
      await one.log.append([
        { topic: 'a', close: true, run: 't2' },
        { topic: 'b', close: true, outcome: 'failed', run: 't' },
      ])
      await says('a', 'b')
      await two.log.erase('b')
      await says('b')
      await one.log.append([{ topic: 'c', data: 'no run', close: true }])
      await one.log.erase('c')
      await pause(300)
      expect(heard).toEqual([all, all])
    })

    test.for([
      [
        'paused',
        (server: RedisServer) => server.stop('SIGSTOP'),
        async (server: RedisServer) => server.stop('SIGCONT'),
      ],
      ['killed', (server: RedisServer) => server.kill(), (server: RedisServer) => server.start(SYNCED)],
    ] as const)(
      'after Redis was %s for longer than a lease, a producer can go on, and each run gets one lease more',
      async ([_, interrupt, resume], { nodes: { serve, join }, expect }) => {
        const server = await serve(SYNCED)
        const [one, two] = [await join(server), await join(server)]
        const lease = { leaseMs: 1500, graceMs: 0 }
        await one.log.runs.claim('alive', claim('t', lease))
        await one.log.runs.claim('dead', claim('t', lease))
        await interrupt(server)
        await pause(3000)
        await resume(server)
        const resumed = performance.now()
        await expect.poll(() => codeOf(one.log.runs.renew('alive', 't'))).toBe('done')
        const renewing = setInterval(() => void one.log.runs.renew('alive', 't').catch(() => {}), 200)
        await expect
          .poll(() => two.got.at(-1), { timeout: 15_000 })
          .toMatchObject({ topic: 'dead', outcome: 'abandoned' })
        clearInterval(renewing)
        expect(performance.now() - resumed).toBeGreaterThan(lease.leaseMs - 100)
        expect(await outcomeOf(two.log, 'alive')).toBeUndefined()
        await expect.poll(() => outcomeOf(two.log, 'alive')).toBe('abandoned')
        await expect.poll(() => ends(two.got)).toEqual(['abandoned', 'abandoned'])
      },
    )

    test.skipIf(withoutClock)(
      'a clock that was a year ahead ends no run early, and keeps none for a year',
      async ({ nodes: { serve, open }, expect }) => {
        const time = clock()
        const server = await serve(undefined, time.env)
        const log = await open(server.url())
        await log.runs.claim('renewed', claim('t', { leaseMs: 2000 }))
        const renewing = setInterval(() => void log.runs.renew('renewed', 't').catch(() => {}), 200)
        time.set(365 * 86_400)
        await pause(3000)
        expect(await outcomeOf(log, 'renewed')).toBeUndefined()
        await log.runs.claim('ahead', claim('t', { leaseMs: 300 }))
        time.set(0)
        await expect.poll(() => outcomeOf(log, 'ahead')).toBe('abandoned')
        clearInterval(renewing)
        expect(await outcomeOf(log, 'renewed')).toBeUndefined()
        await expect.poll(() => outcomeOf(log, 'renewed')).toBe('abandoned')
      },
    )

    test.skipIf(withoutClock)(
      'many runs that were claimed while the clock was a year ahead end too',
      async ({ nodes: { serve, open }, expect }) => {
        const time = clock()
        const server = await serve(undefined, time.env)
        const log = await open(server.url())
        time.set(365 * 86_400)
        const topics = Array.from({ length: 1200 }, (_, i) => `${i}`)
        // Not all at once: a server whose clock is moved is slow, and has 4 s for each answer.
        for (let i = 0; i < topics.length; i += 100)
          await Promise.all(
            topics.slice(i, i + 100).map((topic) => log.runs.claim(topic, claim('t', { leaseMs: 15_000 }))),
          )
        time.set(0)
        const active = async () => (await log.runs.get(topics)).filter((run) => run?.outcome === undefined).length
        expect(await active()).toBe(1200)
        await expect.poll(active, { timeout: 60_000 }).toBe(0)
      },
    )

    describe('after the loss of keys', () => {
      const lose = async (server: RedisServer, log: Log, ...names: string[]) => {
        const { epoch } = log
        await server.command(['DEL', ...names.map((name) => `tidings:{hub}:${name}`)])
        while (log.epoch === epoch) await pause(20)
      }
      /** An ended run, an active one, one that ends soon, and a stop without a run. */
      const write = async (log: Log) => {
        await log.runs.claim('ended', claim('t'))
        await log.append([{ topic: 'ended', close: true, run: 't', outcome: 'failed', detail: 'no\nmemory' }])
        await log.runs.claim('active', claim('t', { leaseMs: 5000, graceMs: 500 }))
        await log.append([{ topic: 'active', data: '1', run: 't' }])
        await log.runs.stop('asked')
      }
      const ended = { outcome: 'failed', detail: 'no\nmemory' }

      test.for([
        ['runs', 'run_lost'],
        ['due', 'done'],
        ['claimed', 'done'],
        ['stops', 'done'],
        ['meta', 'done'],
        ['topics', 'done'],
        ['log', 'done'],
      ])(
        '%s: every run ends, and an outcome that is left anywhere is kept',
        async ([name, producer], { nodes: { serve, join }, expect }) => {
          const server = await serve()
          const { log, got, restarts } = await join(server)
          await write(log)
          const leaseEnd = async () => (await log.runs.get(['active']))[0]?.leaseEnd
          const before = await leaseEnd()
          await lose(server, log, name!)
          if (name !== 'runs' && name !== 'due') expect(await leaseEnd()).toBe(before)
          expect(await server.command(['HGET', 'tidings:{hub}:meta', 'version'])).toBe('2')
          expect(await codeOf(log.append([{ topic: 'active', data: '2', run: 't' }]))).toBe(producer)
          expect(await codeOf(log.append([{ topic: 'active', data: 'x' }]))).toBe('run_taken')
          expect((await log.runs.get(['ended']))[0]).toMatchObject(ended)
          expect((await log.runs.list({ prefix: '', after: '', limit: 9 })).map(({ topic }) => topic)).toEqual([
            ...['active', 'ended'],
          ])
          const { isStopAsked } = await log.runs.claim('asked', claim('t'))
          expect(isStopAsked).toBe(name !== 'stops')
          await expect.poll(() => got.at(-1)).toMatchObject({ topic: 'active', outcome: 'abandoned' })
          expect(ends(await entriesOf(log, 'active'))).toEqual(['abandoned'])
          expect(restarts).toHaveLength(1)
        },
      )

      test('runs and due: the hub goes on, and the topics can be claimed', async ({
        nodes: { serve, join },
        expect,
      }) => {
        const server = await serve()
        const { log } = await join(server)
        await write(log)
        await lose(server, log, 'runs', 'due')
        expect(await log.runs.get(['active'])).toEqual([undefined])
        expect(await log.runs.claim('active', claim('t2'))).toMatchObject({ fence: 1 })
        await log.append([{ topic: 'active', data: '2', run: 't2' }])
        expect((await log.topics({ names: ['ended'] }))[0]).toMatchObject({ outcome: ended })
      })
    })

    describe('a node of the release before runs', () => {
      const lua = (name: string) => readFileSync(join(import.meta.dirname, 'old-node', `${name}.lua`), 'utf8')
      const scripts = { commit: lua('prelude') + lua('commit'), open: lua('prelude') + lua('open') }
      const OPTIONS = { keyAgeMs: 1000, keyCount: 1, trimmedCount: 1, closedAgeMs: 1000, closedCount: 1 }
      const oldNode = (server: RedisServer) => {
        const run = (script: string, ...args: readonly unknown[]) =>
          server
            .command(['EVAL', script, '1', 'tidings:{hub}', ...args.map(String)])
            .catch((error: Error) => error.message.split(' ')[0])
        return {
          open: (epoch: string) => run(scripts.open, epoch, epoch && 'run', 0, 'abcdefghij', 7, 'run', 1, ''),
          commit: (epoch: string, batches: unknown[], retention = {}) =>
            run(scripts.commit, epoch, JSON.stringify({ ...OPTIONS, retention }), JSON.stringify(batches), 64, 0, 0),
        }
      }
      const say = (topic: string, data: string) => [[{ t: topic, w: topic.length + data.length, d: data }]]
      const dump = async (server: RedisServer) => {
        const keys = ((await server.command(['KEYS', '*'])) as string[]).toSorted()
        return Promise.all(keys.map(async (key) => [key, String(await server.command(['DUMP', key]))]))
      }

      test('shares a hub that has no runs', async ({ nodes: { serve, join }, expect }) => {
        const server = await serve()
        const { log, got, restarts } = await join(server)
        await log.append([{ topic: 'a', data: 'new' }])
        await log.runs.stop('a') // asks nobody, and claims nothing
        const old = oldNode(server)
        expect(await old.open(log.epoch)).toContain(log.epoch)
        expect(await old.commit(log.epoch, say('a', 'old'))).toMatchObject([0, [[[2, expect.any(Number), 0]]], 0])
        await log.append([{ topic: 'a', data: 'new again' }])
        await expect.poll(() => got.map(({ data }) => data)).toEqual(['new', 'old', 'new again'])
        expect(restarts).toEqual([])
      })

      test('is shut out by the first claim: it changes nothing, and learns that a newer release wrote the log', async ({
        nodes: { serve, join, open },
        expect,
      }) => {
        const server = await serve()
        const old = oldNode(server)
        const { log, restarts } = await join(server)
        const { epoch } = log
        await log.append([{ topic: 'a', data: '1' }])
        await log.runs.claim('a', claim('t'))
        await log.append([{ topic: 'a', data: '2', run: 't' }])
        expect([log.epoch, restarts]).toEqual([epoch, []])
        await log.close()
        const before = await dump(server)
        for (const topic of ['a', 'b']) expect(await old.commit(epoch, say(topic, 'old'))).toBe('LOST')
        expect(await old.commit(epoch, [], { count: 1 })).toBe('LOST') // a sweep that would trim
        for (const known of [epoch, '']) expect(await old.open(known)).toBe('VERSION')
        expect(await dump(server)).toEqual(before)

        const again = await open(server.url())
        expect(again.epoch).toBe(epoch)
        await again.append([{ topic: 'a', data: '3', run: 't' }])
        expect((await entriesOf(again)).map(({ data }) => data)).toEqual(['1', '2', '3'])
        await again.close()
        const renewed = await open(server.url(), { newEpoch: 'restored' })
        expect(renewed.epoch).not.toBe(epoch)
        for (const known of [epoch, renewed.epoch]) expect(await old.commit(known, say('b', 'old'))).toBe('LOST')
        expect(await old.open('')).toBe('VERSION')
      })
    })
  },
)
