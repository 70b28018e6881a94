import { cpSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, describe } from 'vitest'
import { openRedis } from '../../src/adapters/redis.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Log } from '../../src/log/log.ts'
import { Filter } from '../../src/topic.ts'
import { Reader } from '../reader.ts'
import { runs } from '../seed.ts'
import { type RedisServer, withoutRedis } from '../server/redis.ts'
import { test } from '../server/redis-nodes.ts'
import { cleanUp } from '../server/server.ts'
import { wireTo } from '../server/wire.ts'

const all = { count: 100_000, bytes: 1e9 }
const everything = Filter.parse(['**'])
const SYNCED = { appendonly: 'yes', appendfsync: 'always' }
const UNSAVED = { appendonly: 'no' }

describe.skipIf(withoutRedis)(
  `a log in Redis${withoutRedis && ` (skipped: ${withoutRedis})`}`,
  { timeout: 180_000, concurrent: true },
  () => {
    const homeOf = async (nodes: readonly RedisServer[]): Promise<RedisServer> => {
      const sizes = await Promise.all(nodes.map((node) => node.command(['DBSIZE'])))
      return nodes[sizes.findIndex((size) => Number(size) > 0)]!
    }
    const moveSlot = async (from: RedisServer, to: RedisServer) => {
      const slot = `${await from.command(['CLUSTER', 'KEYSLOT', 'tidings:{hub}'])}`
      const [source, target] = [await from.command(['CLUSTER', 'MYID']), await to.command(['CLUSTER', 'MYID'])].map(
        String,
      )
      await to.command(['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source!])
      await from.command(['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target!])
      for (;;) {
        const keys = (await from.command(['CLUSTER', 'GETKEYSINSLOT', slot, '100'])) as string[]
        if (keys.length === 0) break
        await from.command(['MIGRATE', '127.0.0.1', `${to.port}`, '', '0', '5000', 'KEYS', ...keys])
      }
      for (const node of [to, from]) await node.command(['CLUSTER', 'SETSLOT', slot, 'NODE', target!])
    }
    const say = (log: Log, data: string, key?: string) => log.append([{ topic: 'a', data, ...(key && { key }) }])

    afterAll(cleanUp)

    test('is one log for all processes: each delivers everything once and in the same order', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const nodes = [await join(server), await join(server), await join(server)]
      const count = runs(100, 5000)
      await Promise.all(
        nodes.flatMap(({ log }, n) =>
          Array.from({ length: 4 }, async (_, lane) => {
            for (let i = 0; i < count / 4; i++) await say(log, `${n} ${lane} ${i}`)
          }),
        ),
      )
      const seqs = Array.from({ length: 3 * count }, (_, i) => i + 1)
      for (const { got } of nodes) {
        await expect.poll(() => got.length).toBe(3 * count)
        expect(got.map(({ seq }) => seq)).toEqual(seqs)
        expect(got.map(({ data }) => data)).toEqual(nodes[0]!.got.map(({ data }) => data))
      }
      expect(nodes.flatMap(({ restarts }) => restarts)).toEqual([])
    })

    test('knows the keys, closes and erasures of other processes', async ({ nodes: { serve, join }, expect }) => {
      const server = await serve()
      const [one, other] = [await join(server), await join(server)]
      const erased: unknown[] = []
      await other.log.follow(
        () => {},
        (...what) => erased.push(what),
      )
      const [first] = await say(one.log, 'x', 'k')
      expect(await say(other.log, 'x', 'k')).toEqual([{ ...first, duplicate: true }])
      await expect(say(other.log, 'y', 'k')).rejects.toMatchObject({ code: 'key_conflict' })
      await one.log.erase('a', 1)
      await one.log.append([{ topic: 'a', close: true }])
      await expect(say(other.log, 'z')).rejects.toMatchObject({ code: 'topic_closed' })
      await expect.poll(() => erased).toEqual([['a', 1, 1]])
    })

    test('reports the delete of a topic before later appends, even if both arrive late', async ({
      nodes: { serve, join, open },
      expect,
      onTestFinished,
    }) => {
      const server = await serve()
      const wire = await wireTo(server.port)
      onTestFinished(wire.close)
      const one = await join(server)
      const log = await open(`redis://127.0.0.1:${wire.port}/hub`)
      const told: string[] = []
      await log.follow(
        (entries) => told.push(...entries.map(({ seq, close }) => `${seq}${close ? ' closes' : ''}`)),
        (topic) => told.push(`${topic} is forgotten`),
      )
      await say(one.log, 'x')
      await one.log.append([{ topic: 'a', close: true }])
      await expect.poll(() => told).toEqual(['1', '2 closes'])
      wire.cut()
      await one.log.append([{ topic: 'b', data: 'what it waits for' }])
      await one.log.erase('a')
      await one.log.append([{ topic: 'a', close: true }])
      wire.mend()
      await expect.poll(() => told.slice(2).toSorted()).toEqual(['3', '4 closes', 'a is forgotten'])
      expect(told.indexOf('a is forgotten')).toBeLessThan(told.indexOf('4 closes'))
    })

    test('is found by any node of a cluster, and followed when its slot moves, without losing acknowledged entries', async ({
      nodes: { join, cluster },
      expect,
    }) => {
      const nodes = await cluster(3, SYNCED)
      const logs = await Promise.all(nodes.map((node) => join(node)))
      await Promise.all(logs.map(({ log }, n) => say(log, `from ${n}`)))
      const home = await homeOf(nodes)
      const said = new Map<string, number>()
      let isOver = false
      const publishing = logs.map(async ({ log }, n) => {
        for (let i = 0; !isOver; i++) {
          const receipts = await say(log, `${n} ${i}`, `${n} ${i}`).catch(() => undefined)
          if (receipts) said.set(`${n} ${i}`, receipts[0]!.seq)
          await pause(10)
        }
      })
      await expect.poll(() => said.size, { timeout: 20_000 }).toBeGreaterThan(20)
      await moveSlot(home, nodes[(nodes.indexOf(home) + 1) % 3]!)
      const before = said.size
      await expect.poll(() => said.size, { timeout: 20_000 }).toBeGreaterThan(before + 20)
      isOver = true
      await Promise.all(publishing)
      expect(await homeOf(nodes)).not.toBe(home)
      const last = Math.max(...said.values())
      for (const { got, restarts } of logs) {
        await expect.poll(() => got.at(-1)!.seq).toBeGreaterThanOrEqual(last)
        expect(got.map(({ seq }) => seq)).toEqual(got.map((_, i) => i + 1))
        for (const [data, seq] of said) expect(got[seq - 1]?.data).toBe(data)
        expect(restarts).toEqual([])
      }
    })

    test('declares the durability that the settings of its server give, and never more', async ({
      nodes: { serve, join },
      expect,
    }) => {
      for (const [settings, durability] of [
        [SYNCED, 'disk'],
        [{ ...SYNCED, 'no-appendfsync-on-rewrite': 'yes' }, 'process'],
        [{ appendonly: 'yes', appendfsync: 'everysec' }, 'memory'], // everysec delays even the write

        [{ appendonly: 'yes', appendfsync: 'no' }, 'process'],
        [{ appendonly: 'no', save: '1 1' }, 'memory'],
        [UNSAVED, 'memory'],
      ] as const) {
        const { log } = await join(await serve(settings))
        expect([settings, log.durability]).toEqual([settings, durability])
      }
    })

    test('notices when the durability of its server changes', async ({ nodes: { serve, join }, expect }) => {
      const change = async (before: string, after: string, durability: string) => {
        const server = await serve({ appendonly: 'yes', appendfsync: before })
        const { log } = await join(server)
        await server.command(['CONFIG', 'SET', 'appendfsync', after])
        await expect.poll(() => log.durability, { timeout: 10_000, message: after }).toBe(durability)
      }
      await Promise.all([
        change('always', 'no', 'process'),
        change('no', 'everysec', 'memory'),
        change('everysec', 'always', 'disk'),
      ])
    })

    test('warns and declares memory while its server may evict entries', async ({ nodes: { serve, join }, expect }) => {
      const server = await serve(SYNCED)
      const written: string[] = []
      const warn = (sentence: string) => {
        if (sentence.includes('evict')) written.push(sentence)
      }
      const { log, restarts } = await join(server, { warn })
      const sentence = (policy: string) =>
        `Redis may evict entries of the log: its maxmemory-policy is ${policy}; set it to noeviction`
      const { epoch } = log
      const setPolicy = (policy: string) => server.command(['CONFIG', 'SET', 'maxmemory-policy', policy])
      expect([log.durability, log.warnings]).toEqual(['disk', []])
      await setPolicy('allkeys-lru')
      await expect
        .poll(() => [log.durability, log.warnings, written], { timeout: 10_000 })
        .toEqual(['memory', [sentence('allkeys-lru')], [sentence('allkeys-lru')]])
      const other = await join(server, { warn })
      expect([other.log.durability, other.log.epoch, other.log.warnings]).toEqual([
        'memory',
        epoch,
        [sentence('allkeys-lru')],
      ])
      await setPolicy('noeviction')
      await expect.poll(() => [log.durability, log.warnings], { timeout: 10_000 }).toEqual(['disk', []])
      expect(written).toHaveLength(2)
      await log.append([{ topic: 'a', data: 'kept' }])
      await server.kill()
      await server.start()
      await expect
        .poll(
          () =>
            log.check().then(
              () => true,
              () => false,
            ),
          { timeout: 120_000 },
        )
        .toBe(true)
      expect([log.epoch, restarts]).toEqual([epoch, []])
      // A restart evicts nothing: it is the same log. Evictions are noticed separately.
      await server.kill()
      await server.start({ ...SYNCED, 'maxmemory-policy': 'volatile-lru' })
      await expect.poll(() => log.warnings, { timeout: 20_000 }).toEqual([sentence('volatile-lru')])
      expect([log.durability, log.epoch, restarts]).toEqual(['memory', epoch, []])
    })

    test('refuses appends and checks while its server is out of memory, and uses no seq for them', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const { log } = await join(server)
      await say(log, 'before')
      await server.command(['CONFIG', 'SET', 'maxmemory', '1'])
      const refused = { code: 'log_unavailable', message: expect.stringContaining('its server answers OOM') }
      await expect(say(log, 'lost')).rejects.toMatchObject(refused)
      await pause(1000) // for this long the last append counts as a check
      await expect(log.check()).rejects.toMatchObject(refused)
      await server.command(['CONFIG', 'SET', 'maxmemory', '0'])
      expect(await say(log, 'after')).toMatchObject([{ seq: 2 }])
      await expect(log.check()).resolves.toBeUndefined()
    })

    test('continues after a server that syncs is killed under load, without losing acknowledged entries', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve(SYNCED)
      const [one, other] = [await join(server), await join(server)]
      const { epoch } = one.log
      const acknowledged = new Map<string, number>()
      let isOver = false
      const publishing = Array.from({ length: 4 }, async (_, lane) => {
        for (let i = 0; !isOver; i++) {
          const data = `${lane} ${i}`
          // Sent again with its key until acknowledged, as a publisher does.
          while (!isOver) {
            const receipts = await say(one.log, data, data).catch(() => undefined)
            if (receipts) acknowledged.set(data, receipts[0]!.seq)
            if (receipts) break
            await pause(20)
          }
        }
      })
      for (let kills = 0; kills < runs(3, 20); kills++) {
        const before = acknowledged.size
        await expect.poll(() => acknowledged.size, { timeout: 20_000 }).toBeGreaterThan(before + runs(20, 50))
        await server.kill()
        await server.start()
      }
      isOver = true
      await Promise.all(publishing)
      await expect.poll(() => say(one.log, 'last').catch(() => []), { timeout: 20_000 }).toHaveLength(1)
      const last = one.got.at(-1)!.seq
      for (const { got, restarts, log } of [one, other]) {
        await expect.poll(() => got.at(-1)!.seq, { timeout: 20_000 }).toBe(last)
        expect(got.map(({ seq }) => seq)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
        expect(new Set(got.map(({ data }) => data)).size).toBe(last)
        for (const [data, seq] of acknowledged) expect([got[seq - 1]?.data, seq]).toEqual([data, seq])
        expect([restarts, log.epoch]).toEqual([[], epoch])
      }
    })

    test('begins a new epoch and notifies every process when a server without persistence was restarted', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve(UNSAVED)
      const nodes = [await join(server), await join(server)]
      const { epoch } = nodes[0]!.log
      for (let i = 0; i < 20; i++) await say(nodes[0]!.log, `${i}`)
      await server.kill()
      await server.start()
      for (const { restarts, log } of nodes) {
        await expect.poll(() => restarts.length, { timeout: 20_000 }).toBe(1)
        expect(restarts).toEqual([{ epoch: log.epoch, head: 0 }])
        expect(log.epoch).not.toBe(epoch)
      }
      expect(nodes[0]!.log.epoch).toBe(nodes[1]!.log.epoch)
      expect(await say(nodes[1]!.log, 'new')).toMatchObject([{ seq: 1, duplicate: false }])
      await expect.poll(() => nodes[0]!.got.at(-1)).toMatchObject({ seq: 1, data: 'new' })
    })

    test('begins one new epoch for a new text of newEpoch, on any number of nodes, and none for the text it began with', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const old = await join(server, { newEpoch: 'first' })
      await say(old.log, 'x')
      const nodes = [await join(server, { newEpoch: 'second' }), await join(server, { newEpoch: 'second' })]
      await expect.poll(() => old.restarts).toEqual([{ epoch: nodes[0]!.log.epoch, head: 1 }])
      await pause(2500) // nodes with different texts must not change the epoch in turn meanwhile
      for (const { log } of [old, ...nodes]) expect(await say(log, 'y')).toMatchObject([{ duplicate: false }])
      expect([old, ...nodes].map(({ restarts }) => restarts.length)).toEqual([1, 0, 0])
      await server.command(['DEL', 'tidings:{hub}:meta'])
      await expect.poll(() => nodes.map(({ restarts }) => restarts.length), { timeout: 5000 }).toEqual([1, 1])
      const { epoch } = nodes[0]!.log
      expect((await join(server)).log.epoch).toBe(epoch)
    })

    test('begins a new epoch when its server was emptied, noticed by waiting, appending, reading or listing', async ({
      nodes: { serve, join },
      expect,
    }) => {
      for (const notice of ['wait', 'append', 'read', 'topics'] as const) {
        const server = await serve()
        const { log, restarts } = await join(server)
        const { epoch } = log
        for (let i = 0; i < 5; i++) await say(log, `${i}`)
        await server.command(['FLUSHALL'])
        if (notice === 'append') await expect(say(log, 'lost')).rejects.toMatchObject({ code: 'log_unavailable' })
        if (notice === 'read')
          await expect(log.read(0, all, everything)).rejects.toMatchObject({ code: 'log_unavailable' })
        if (notice === 'topics')
          await expect(log.topics({ names: ['a'] })).rejects.toMatchObject({ code: 'log_unavailable' })
        await expect.poll(() => restarts.length, { timeout: notice === 'wait' ? 5000 : 500 }).toBe(1)
        expect(log.epoch).not.toBe(epoch)
        expect((await say(log, 'new'))[0]).toMatchObject({ seq: 1 })
      }
    })

    test('notices that another log has replaced it, and delivers only entries after the restart', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve()
      const { log, got, restarts } = await join(server)
      const { epoch } = log
      for (let i = 0; i < 5; i++) await say(log, `${i}`)
      await server.command(['FLUSHALL'])
      const fresh = await join(server)
      for (let i = 0; i < 20; i++) await say(fresh.log, `other ${i}`)
      await expect.poll(() => restarts.length).toBe(1)
      await say(fresh.log, 'last')
      await expect.poll(() => got.at(-1)?.data).toBe('last')
      expect(log.epoch).toBe(fresh.log.epoch)
      expect(log.epoch).not.toBe(epoch)
      expect(got.slice(0, 5).map(({ data }) => data)).toEqual(['0', '1', '2', '3', '4'])
      for (const { seq } of got.slice(5)) expect(seq).toBeGreaterThan(restarts[0]!.head)
    })

    test('begins a new epoch when its server was restored to an older state, even if the server syncs', async ({
      nodes: { serve, join },
      expect,
      onTestFinished,
    }) => {
      const server = await serve(SYNCED)
      const { log, restarts } = await join(server)
      for (let i = 0; i < 5; i++) await say(log, `${i}`)
      const { epoch } = log
      await server.kill()
      const backup = `${server.dir}-backup`
      cpSync(server.dir, backup, { recursive: true })
      onTestFinished(() => rmSync(backup, { recursive: true }))
      await server.start()
      await expect.poll(() => say(log, 'later').catch(() => []), { timeout: 20_000 }).toHaveLength(1)
      await server.kill()
      rmSync(server.dir, { recursive: true })
      cpSync(backup, server.dir, { recursive: true })
      await server.start()
      await expect.poll(() => restarts.length, { timeout: 20_000 }).toBe(1)
      expect(log.epoch).not.toBe(epoch)
      expect((await log.read(0, all, everything)).entries).toHaveLength(5)
      expect((await say(log, 'new'))[0]).toMatchObject({ seq: 6 })
    })

    test('refuses appends within 5 s while its server is silent, and continues afterwards', {
      concurrent: false,
    }, async ({ nodes: { serve, join }, expect }) => {
      const server = await serve()
      const { log, got, restarts } = await join(server)
      await say(log, 'before')
      server.stop('SIGSTOP')
      for (const expected of [/outcome_unknown|log_unavailable/, /log_unavailable/]) {
        const began = performance.now()
        const error = await say(log, 'meanwhile', 'k').catch((refusal) => refusal)
        expect([error.code, error.status, performance.now() - began < 5000]).toEqual([
          expect.stringMatching(expected),
          503,
          true,
        ])
      }
      await expect(log.check()).rejects.toMatchObject({ code: 'log_unavailable' })
      server.stop('SIGCONT')
      await expect.poll(() => say(log, 'meanwhile', 'k').catch(() => []), { timeout: 20_000 }).toHaveLength(1)
      await say(log, 'after')
      await expect.poll(() => got.map(({ data }) => data)).toEqual(['before', 'meanwhile', 'after'])
      expect(restarts).toEqual([])
    })

    test('reports a gap for entries that were trimmed before a process saw them, and ends no stream', async ({
      nodes: { serve, join },
      expect,
      onTestFinished,
    }) => {
      const server = await serve()
      const options = { retention: { count: 10 } }
      const [one, other] = [await join(server, options), await join(server, options)]
      const hub = new Hub(() => other.log)
      const [concerned, idle] = await Promise.all(
        [['a'], ['b']].map(async (names) => (await hub.subscribe(Filter.parse(names)))!),
      )
      const [reader, quiet] = [new Reader().follow(concerned!), new Reader().follow(idle!)]
      onTestFinished(() => hub.close())
      await one.log.append([{ topic: 'b', data: 'b 1' }])
      await expect.poll(() => quiet.data).toEqual(['b 1'])
      await one.log.append(Array.from({ length: 900 }, (_, i) => ({ topic: 'a', data: `${i}` })))
      await expect.poll(() => reader.data.at(-1)).toBe('899')
      expect(reader.data).toEqual(Array.from({ length: 10 }, (_, i) => `${890 + i}`))
      expect(reader.control('gap')).toMatchObject([{ reason: 'trimmed', to: `${other.log.epoch}-891`, exact: true }])
      await one.log.append([{ topic: 'b', data: 'b 2' }])
      await expect.poll(() => quiet.data).toEqual(['b 1', 'b 2'])
      expect(quiet.control('gap')).toEqual([])
      expect([reader.ended, quiet.ended, other.restarts]).toEqual([false, false, []])
    })

    test('notices that its server lost entries, also after another process has appended other entries', async ({
      nodes: { serve, join, open },
      expect,
      onTestFinished,
    }) => {
      const server = await serve(SYNCED)
      const { log, restarts } = await join(server)
      for (let i = 0; i < 5; i++) await say(log, `${i}`)
      const { epoch } = log
      await server.kill()
      const backup = `${server.dir}-backup`
      cpSync(server.dir, backup, { recursive: true })
      onTestFinished(() => rmSync(backup, { recursive: true }))
      await server.start()
      await expect.poll(() => say(log, 'lost').catch(() => []), { timeout: 20_000 }).toHaveLength(1)
      const wire = await wireTo(server.port)
      onTestFinished(wire.close)
      const far = await open(`redis://127.0.0.1:${wire.port}/hub`)
      wire.cut() // so that the process of `far` is the last to check the log
      await log.close()
      await server.kill()
      rmSync(server.dir, { recursive: true })
      cpSync(backup, server.dir, { recursive: true })
      await server.start()
      const fresh = await join(server)
      for (let i = 0; i < 5; i++) await say(fresh.log, `other ${i}`)
      wire.mend()
      await expect.poll(() => far.epoch !== epoch, { timeout: 20_000 }).toBe(true)
      await expect.poll(() => fresh.restarts.length, { timeout: 20_000 }).toBe(1)
      expect(restarts).toEqual([])
    })

    test('explains why it cannot use a server, without credentials in the message', async ({
      nodes: { serve },
      expect,
    }) => {
      await expect(openRedis('redis://user:secret@127.0.0.1:1/hub')).rejects.toMatchObject({
        code: 'log_unusable',
        message: expect.stringMatching(/^Cannot reach the log at redis:\/\/127\.0\.0\.1:1\/hub: .*ECONNREFUSED/),
      })
      for (const place of ['redis://user:x#yzzy@127.0.0.1:1/hub', 'redis://user:xyzzy?@127.0.0.1:1/hub']) {
        const failure = await openRedis(place).catch((error) => error)
        expect([failure.code, `${failure.message} ${failure.cause}`]).toEqual([
          'config_invalid',
          expect.not.stringMatching(/yzzy|user/),
        ])
      }
      const server = await serve({ requirepass: 'secret' })
      const failure = await openRedis(server.url()).catch((error) => error)
      expect([failure.code, failure.message]).toEqual(['log_unusable', expect.stringMatching(/NOAUTH/)])
      const log = await openRedis(server.url().replace('//', '//:secret@'))
      await log.close()
    })

    test('needs no more rights on its server than the guide lists', async ({ nodes: { serve, open }, expect }) => {
      const server = await serve()
      const [, rule] = /^ACL SETUSER (tidings .*)$/m.exec(
        readFileSync(`${import.meta.dirname}/../../src/log/README.md`, 'utf8'),
      )!
      await server.command([
        'ACL',
        'SETUSER',
        ...rule!.replace('PASSWORD', 'secret').replace('my-hub', 'hub').split(' '),
      ])
      const url = server.url().replace('//', '//tidings:secret@')
      const log = await open(url, {
        retention: { count: 3, topicCount: 2, ageMs: 60_000 },
        keyCount: 1,
        trimmedCount: 1,
      })
      expect(log.durability).toBe('disk')
      for (let i = 0; i < 9; i++) await say(log, `${i}`, `${i}`)
      await log.append([{ topic: 'b', data: 'x', close: true }])
      await log.erase('b', 10)
      for (const filter of [everything, Filter.parse(['a'])])
        for (const latest of [false, true]) await log.read(0, { ...all, latest }, filter)
      for (const beginning of [{ last: 1 }, { since: 0 }]) await log.seek(beginning, everything)
      await log.topics({ prefix: '', after: '', limit: 10 })
      await log.erase('a')
      await log.runs.stop('run')
      for (const topic of ['run', 'over']) await log.runs.claim(topic, { token: 't', leaseMs: 100, graceMs: 0 })
      await log.runs.renew('run', 't')
      await log.append([{ topic: 'run', close: true, run: 't', outcome: 'stopped' }])
      await expect.poll(async () => (await log.runs.get(['over']))[0]?.outcome).toBe('abandoned')
      await log.runs.list({ prefix: '', after: '', limit: 10 })
      await log.erase('run')
      await log.check()
      await expect(openRedis(url.replace('/hub', '/other'))).rejects.toMatchObject({
        message: expect.stringMatching(/NOPERM/),
      })
    })
  },
)
