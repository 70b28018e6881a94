import { afterEach, describe, expect, test } from 'vitest'
import type { Entry, Log, LogOptions, Message } from '../../src/log/log.ts'
import type { Claim } from '../../src/log/runs.ts'
import { Filter } from '../../src/topic.ts'
import type { Driver } from './suite.ts'

const LONG = { leaseMs: 60_000, graceMs: 60_000 }
const SHORT = { leaseMs: 80, graceMs: 80 }
const claim = (token: string, more: Partial<Claim> = {}): Claim => ({ token, ...LONG, ...more })
const by = (run: string, data: string, more: Partial<Message> = {}): Message => ({ topic: 'a', data, run, ...more })
const plain = (data: string, more: Partial<Message> = {}): Message => ({ topic: 'a', data, ...more })
const failed: Partial<Message> = { close: true, outcome: 'failed', detail: 'model died\nat token 7 é' }
const code = (name: string) => expect.objectContaining({ code: name })
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Tests every sentence of `RunLog`, for any driver. */
export function runSuite(driver: Driver): void {
  describe(`runs of a log over ${driver.name}`, () => {
    const open: Log[] = []
    const places: { remove(): void }[] = []
    const place = () => {
      const made = driver.place()
      places.push(made)
      return made
    }
    const at = async (home: ReturnType<typeof place>, options?: Partial<LogOptions>) => {
      const log = await home.open(options)
      open.push(log)
      return log
    }
    const make = (options?: Partial<LogOptions>) => at(place(), options)
    const entriesOf = async (log: Log, topic = 'a'): Promise<readonly Entry[]> =>
      (await log.read(0, { count: 1000, bytes: 1e9 }, Filter.parse([topic]))).entries
    const data = async (log: Log) => (await entriesOf(log)).map((entry) => entry.data)
    const stateOf = async (log: Log, topic = 'a') => (await log.runs.get([topic]))[0]

    afterEach(async () => {
      await Promise.all(open.splice(0).map((log) => log.close()))
      for (const made of places.splice(0)) made.remove()
    })

    test('a log that is closed refuses claims, renewals and stops', async () => {
      const log = await make()
      await log.runs.claim('a', claim('t1'))
      await log.close()
      for (const act of [log.runs.claim('b', claim('t')), log.runs.renew('a', 't1'), log.runs.stop('a')])
        await expect(act).rejects.toEqual(code('log_unusable'))
    })

    describe('R1: one producer', () => {
      test('a claim changes no entry, and its state tells the fence and the end of the lease', async () => {
        const log = await make()
        const state = await log.runs.claim('a', claim('t1'))
        expect(state).toEqual({ topic: 'a', fence: 1, ...LONG, isStopAsked: false, leaseEnd: expect.any(Number) })
        expect(Math.abs(state.leaseEnd! - Date.now() - 60_000)).toBeLessThan(10_000)
        expect(JSON.stringify(state)).not.toContain('t1')
        expect(await entriesOf(log)).toEqual([])
      })

      test('only messages with the token of the claim are appended', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        await expect(log.append([plain('x')])).rejects.toEqual(code('run_taken'))
        await expect(log.append([by('t2', 'x')])).rejects.toEqual(code('run_lost'))
        await expect(log.append([plain('', { close: true })])).rejects.toEqual(code('run_taken'))
        await log.append([by('t1', '1'), { topic: 'b', data: 'other topics take anybody' }])
        expect(await data(log)).toEqual(['1'])
        expect((await entriesOf(log))[0]).toEqual({ topic: 'a', data: '1', seq: 1, time: expect.any(Number) })
      })

      test('a token without a claim appends nothing', async () => {
        const log = await make()
        await expect(log.append([by('t1', 'x')])).rejects.toEqual(code('run_lost'))
        expect(await entriesOf(log)).toEqual([])
      })

      test('while a lease lasts, other claims are refused with its end', async () => {
        const log = await make()
        const { leaseEnd } = await log.runs.claim('a', claim('t1'))
        const refusal = await log.runs.claim('a', claim('t2')).catch((error) => error)
        expect(refusal).toEqual(code('run_taken'))
        expect(Math.abs(Date.parse(refusal.more.leaseEnd) - leaseEnd!)).toBeLessThan(1000)
        expect(refusal.retryAfterS).toBeGreaterThan(50)
        await log.append([by('t1', '1')])
      })

      test('of claims in one turn, one is accepted', async () => {
        const log = await make()
        const all = await Promise.allSettled(['t1', 't2', 't3', 't4'].map((token) => log.runs.claim('a', claim(token))))
        expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        expect(await stateOf(log)).toMatchObject({ fence: 1 })
      })

      test('there are at most as many active runs as the options say', async () => {
        const log = await make({ maxRuns: 2 })
        await log.runs.claim('a', claim('t1', { key: 'k' }))
        await log.runs.claim('b', claim('t'))
        await expect(log.runs.claim('c', claim('t'))).rejects.toEqual(code('too_many_runs'))
        await log.runs.claim('a', claim('t2', { key: 'k' }))
        await log.append([{ topic: 'b', close: true, run: 't' }])
        await log.runs.claim('c', claim('t'))
        await log.erase('c')
        await log.runs.claim('d', claim('t'))
      })

      test('of claims in one turn with the same key, each is told its own fence, and the one with the last is the producer', async () => {
        const log = await make()
        const tokens = ['t1', 't2', 't3']
        const all = await Promise.all(tokens.map((token) => log.runs.claim('a', claim(token, { key: 'k' }))))
        const fences = all.map(({ fence }) => fence)
        expect(fences.toSorted()).toEqual([1, 2, 3])
        await expect(log.append([by(tokens[fences.indexOf(2)]!, 'x')])).rejects.toEqual(code('run_lost'))
        await log.append([by(tokens[fences.indexOf(3)]!, '1')])
      })

      test('a refusal tells when the lease ends, after the signs of life before it', async () => {
        const log = await make()
        const { leaseEnd } = await log.runs.claim('a', claim('t1', { leaseMs: 60_000 }))
        await pause(100)
        const [, refused] = await Promise.allSettled([log.append([by('t1', '1')]), log.append([plain('2')])])
        const { more } = (refused as PromiseRejectedResult).reason
        expect(Date.parse(more.leaseEnd)).toBeGreaterThan(leaseEnd! + 50)
      })

      test('a known key is a duplicate, whoever sends it', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        await log.append([by('t1', '1', { key: 'k' })])
        await log.runs.claim('b', claim('t'))
        for (const run of [{ run: 't0' }, { run: 't1' }, {}])
          expect(await log.append([plain('1', { key: 'k', ...run })])).toMatchObject([{ seq: 1, duplicate: true }])
      })

      test('a batch with a refused message is refused whole', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        await expect(log.append([{ topic: 'b', data: 'x' }, plain('y')])).rejects.toEqual(code('run_taken'))
        expect(await entriesOf(log, 'b')).toEqual([])
      })
    })

    describe('R2: nothing of a superseded producer', () => {
      test('after the lease another producer takes over, and the first one is refused from then on', async () => {
        const log = await make()
        await log.runs.claim('a', { token: 't1', leaseMs: 1000, graceMs: 60_000 })
        await log.append([by('t1', '1')])
        await pause(1100)
        await log.append([by('t1', 'late, but nobody has taken over')])
        await expect(log.runs.claim('a', claim('t2'))).rejects.toEqual(code('run_taken')) // that append was a sign of life
        await pause(1100)
        expect(await log.runs.claim('a', claim('t2'))).toMatchObject({ fence: 2 })
        await expect(log.append([by('t1', 'x')])).rejects.toEqual(code('run_lost'))
        await expect(log.append([by('t1', '', { close: true })])).rejects.toEqual(code('run_lost'))
        await expect(log.runs.renew('a', 't1')).rejects.toEqual(code('run_lost'))
        await log.append([by('t2', '2')])
        expect(await data(log)).toEqual(['1', 'late, but nobody has taken over', '2'])
      })

      test('a claim with the key of the present one takes over at once', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1', { key: 'mine' }))
        await expect(log.runs.claim('a', claim('t2', { key: 'yours' }))).rejects.toEqual(code('run_taken'))
        expect(await log.runs.claim('a', claim('t3', { key: 'mine' }))).toMatchObject({ fence: 2 })
        await expect(log.append([by('t1', 'x')])).rejects.toEqual(code('run_lost'))
        await log.append([by('t3', '1')])
      })

      test('appends and a claim of one turn never leave an append of the superseded after one of the new producer', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1', { key: 'k' }))
        const old = Array.from({ length: 5 }, (_, i) => log.append([by('t1', `old ${i}`)]))
        const taken = log.runs.claim('a', claim('t2', { key: 'k' })).then(() => log.append([by('t2', 'new')]))
        const late = Array.from({ length: 5 }, (_, i) => log.append([by('t1', `late ${i}`)]))
        await Promise.allSettled([...old, ...late, taken])
        const all = await data(log)
        expect(all.at(-1)).toBe('new')
      })
    })

    describe('R3: every run ends', () => {
      const terminal = async (log: Log) => {
        await expect.poll(async () => (await stateOf(log))?.outcome).toBeDefined()
        return (await entriesOf(log)).filter(({ close }) => close)
      }

      test('without a sign of life the log closes the topic as abandoned, with one entry that followers get', async () => {
        const log = await make()
        const got: Entry[] = []
        await log.follow((entries) => got.push(...entries))
        await log.runs.claim('a', { token: 't1', leaseMs: 1000, graceMs: 80 })
        await log.append([by('t1', '1')])
        expect(await terminal(log)).toEqual([
          { topic: 'a', close: true, outcome: 'abandoned', seq: 2, time: expect.any(Number) },
        ])
        await expect.poll(() => got.at(-1)).toMatchObject({ topic: 'a', outcome: 'abandoned' })
        await expect(log.append([by('t1', 'x')])).rejects.toEqual(code('topic_closed'))
        await expect(log.runs.claim('a', claim('t2'))).rejects.toEqual(code('topic_closed'))
        expect((await log.topics({ names: ['a'] }))[0]).toMatchObject({ closed: 2, outcome: { outcome: 'abandoned' } })
      })

      test('a claim without an entry ends too', async () => {
        const log = await make()
        await log.runs.claim('a', { token: 't1', ...SHORT })
        expect(await terminal(log)).toHaveLength(1)
      })

      test('renewals and appends keep a run, and cost no entry', async () => {
        const log = await make()
        await log.runs.claim('a', { token: 't1', leaseMs: 1200, graceMs: 1200 })
        for (let i = 0; i < 12; i++) {
          await pause(120)
          if (i % 4 === 0) await log.append([by('t1', `${i}`)])
          else expect(await log.runs.renew('a', 't1')).toMatchObject({ fence: 1 })
        }
        expect(await data(log)).toEqual(['0', '4', '8'])
        expect((await stateOf(log))?.outcome).toBeUndefined()
      })

      test('a duplicate is a sign of life of the producer, but of no earlier one', async () => {
        const log = await make()
        await log.runs.claim('a', { token: 't1', leaseMs: 2000, graceMs: 60_000, key: 'k' })
        await log.append([by('t1', '1', { key: '1' })])
        await pause(1300)
        await log.append([by('t1', '1', { key: '1' })])
        await pause(1000)
        await expect(log.runs.claim('a', claim('t2'))).rejects.toEqual(code('run_taken'))
        await log.runs.claim('a', { token: 't3', leaseMs: 2000, graceMs: 60_000, key: 'k' })
        await pause(1300)
        await log.append([by('t1', '1', { key: '1' })])
        await pause(1000)
        await log.runs.claim('a', claim('t2'))
      })

      test.each(['done', 'failed', 'stopped'] as const)('a producer ends its run as %s', async (outcome) => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        const close = { close: true, ...(outcome !== 'done' && { outcome }) } as const
        await log.append([by('t1', 'last', close)])
        expect(await stateOf(log)).toEqual({ topic: 'a', fence: 1, ...LONG, isStopAsked: false, outcome })
        expect(await entriesOf(log)).toEqual([{ topic: 'a', data: 'last', ...close, seq: 1, time: expect.any(Number) }])
        await expect(log.append([by('t1', 'x')])).rejects.toEqual(code('topic_closed'))
        await expect(log.runs.renew('a', 't1')).rejects.toEqual(code('run_lost'))
      })

      test('deleting the topic ends its run and forgets its outcome', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        expect(await log.erase('a')).toBe(0)
        expect(await stateOf(log)).toBeUndefined()
        await expect(log.append([by('t1', 'x')])).rejects.toEqual(code('run_lost'))
        await log.append([plain('free')])
        await log.runs.claim('a', claim('t2'))
        await log.append([by('t2', '', failed)])
        await log.erase('a')
        expect(await stateOf(log)).toBeUndefined()
        expect((await log.topics({ names: ['a'] }))[0]).toMatchObject({ closed: 0, count: 0 })
        expect((await log.topics({ names: ['a'] }))[0]).not.toHaveProperty('outcome')
        expect(await log.runs.claim('a', claim('t3'))).toMatchObject({ fence: 1, isStopAsked: false })
      })

      test('many runs that end at different times all end, once each', async () => {
        const log = await make()
        const topics = Array.from({ length: 40 }, (_, i) => `r/${i}`)
        for (const [i, topic] of topics.entries())
          await log.runs.claim(topic, { token: `t${i}`, leaseMs: 30 + ((i * 37) % 90), graceMs: (i * 53) % 70 })
        await expect
          .poll(async () => (await log.runs.get(topics)).filter((run) => run?.outcome === 'abandoned').length)
          .toBe(40)
        const ends = (await entriesOf(log, 'r/*')).map(({ topic }) => topic)
        expect(new Set(ends).size).toBe(40)
        expect(ends).toHaveLength(40)
      })

      test('a log that is opened again goes on with its runs: each lease lasts anew, and then they end', async ({
        skip,
      }) => {
        skip(!driver.survives, 'this log does not outlive its process')
        const home = place()
        const log = await at(home)
        await log.runs.claim('a', { token: 't1', leaseMs: 2000, graceMs: 100 })
        await log.append([by('t1', '1')])
        await log.close()
        const again = await at(home)
        expect(await stateOf(again)).toMatchObject({ fence: 1, leaseMs: 2000, leaseEnd: expect.any(Number) })
        await expect(again.append([plain('x')])).rejects.toEqual(code('run_taken'))
        await again.append([by('t1', '2')])
        expect(await terminal(again)).toMatchObject([{ outcome: 'abandoned' }])
        expect(await data(again)).toEqual(['1', '2', undefined])
      })
    })

    describe('R4: a stop reaches the producer', () => {
      test('claims and renewals tell it until the run has ended, also to a producer that takes over', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1', { key: 'k' }))
        expect(await log.runs.renew('a', 't1')).toMatchObject({ isStopAsked: false })
        expect(await log.runs.stop('a')).toMatchObject({ topic: 'a', fence: 1, isStopAsked: true })
        expect(await log.runs.renew('a', 't1')).toMatchObject({ isStopAsked: true })
        expect(await log.runs.claim('a', claim('t2', { key: 'k' }))).toMatchObject({ isStopAsked: true })
        await log.append([by('t2', '', { close: true, outcome: 'stopped' })])
        expect(await stateOf(log)).toMatchObject({ outcome: 'stopped', isStopAsked: true })
      })

      test('a stop that names another claim changes nothing', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        expect(await log.runs.stop('a', 2)).toMatchObject({ fence: 1, isStopAsked: false })
        expect(await log.runs.stop('a', 1)).toMatchObject({ fence: 1, isStopAsked: true })
      })

      test('a stop that names a claim of a topic that nobody has claimed is not kept, and changes no stop that is', async () => {
        const log = await make()
        await log.runs.stop('b')
        for (const topic of ['a', 'b']) expect(await log.runs.stop(topic, 1)).toBeUndefined()
        expect(await log.runs.claim('a', claim('t1'))).toMatchObject({ fence: 1, isStopAsked: false })
        expect(await log.runs.claim('b', claim('t2'))).toMatchObject({ fence: 1, isStopAsked: true })
      })

      test('a stop that is asked before the first claim is told to it, and to no run after a deletion', async () => {
        const log = await make()
        expect(await log.runs.stop('a')).toBeUndefined()
        expect(await log.runs.stop('b')).toBeUndefined()
        expect(await stateOf(log)).toBeUndefined()
        expect(await log.runs.list({ prefix: '', after: '', limit: 10 })).toEqual([])
        expect(await log.runs.claim('a', claim('t1'))).toMatchObject({ fence: 1, isStopAsked: true })
        await log.erase('b')
        expect(await log.runs.claim('b', claim('t2'))).toMatchObject({ isStopAsked: false })
      })

      test('an ended run cannot be stopped, and a topic that was closed without a run neither', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        await log.append([by('t1', '', { close: true })])
        expect(await log.runs.stop('a')).toMatchObject({ outcome: 'done', isStopAsked: false })
        await log.append([{ topic: 'b', close: true }])
        await expect(log.runs.stop('b')).rejects.toEqual(code('topic_closed'))
      })

      test('of stops that were asked before the first claim, the newest are kept', async () => {
        const log = await make({ stopCount: 2 })
        const asked = async (topic: string) => (await log.runs.claim(topic, claim('t'))).isStopAsked
        for (const topic of ['s/0', 's/1', 's/2', 's/3']) {
          await log.runs.stop(topic)
          await pause(5) // the order of stops is that of their times
        }
        expect([await asked('s/0'), await asked('s/1')]).toEqual([false, false])
        expect([await asked('s/2'), await asked('s/3')]).toEqual([true, true])
      })

      test('a stop that was asked before the first claim is kept for a time', async () => {
        const log = await make({ stopAgeMs: 300 })
        await log.runs.stop('a')
        await pause(350)
        expect(await log.runs.claim('a', claim('t'))).toMatchObject({ isStopAsked: false })
      })

      test('a watcher hears of claims, stops and ends', async () => {
        const log = await make()
        const heard: string[] = []
        log.runs.watch((topic) => heard.push(topic))
        await log.runs.claim('a', claim('t1'))
        await expect.poll(() => heard.length).toBe(1)
        await log.runs.stop('a')
        await expect.poll(() => heard.length).toBe(2)
        await log.append([by('t1', '1')])
        await log.append([by('t1', '', { close: true })])
        await expect.poll(() => heard).toEqual(['a', 'a', 'a'])
      })
    })

    describe('R5: outcomes last as long as closes', () => {
      test('an outcome and its detail outlive the entry that closed the topic', async () => {
        const log = await make({ retention: { count: 2 } })
        await log.runs.claim('a', claim('t1'))
        await log.append([by('t1', 'partial', failed)])
        const outcome = { outcome: 'failed', detail: failed.detail }
        expect(await entriesOf(log)).toMatchObject([{ ...outcome, close: true, data: 'partial' }])
        for (let i = 0; i < 4; i++) await log.append([{ topic: 'b', data: `${i}` }])
        expect(await entriesOf(log)).toEqual([])
        expect((await log.topics({ names: ['a'] }))[0]).toMatchObject({ closed: 1, outcome })
        expect(await stateOf(log)).toMatchObject({ topic: 'a', ...outcome })
      })

      test('erasing the entry that closed the topic keeps its outcome', async () => {
        const log = await make()
        await log.runs.claim('a', claim('t1'))
        await log.append([by('t1', 'secret', failed)])
        await log.erase('a', 1)
        expect(await entriesOf(log)).toEqual([
          { topic: 'a', close: true, outcome: 'failed', seq: 1, time: expect.any(Number) },
        ])
        expect((await stateOf(log))?.outcome).toBe('failed')
      })

      test('a forgotten close forgets its outcome', async () => {
        const log = await make({ retention: { count: 1 }, closedCount: 1 })
        for (const topic of ['a', 'b', 'c']) {
          await log.runs.claim(topic, claim('t'))
          await log.append([{ topic, close: true, run: 't', outcome: 'stopped' }])
        }
        for (let i = 0; i < 3; i++) await log.append([{ topic: 'd', data: `${i}` }])
        expect(await stateOf(log)).toBeUndefined()
        expect((await log.runs.get(['c']))[0]).toMatchObject({ outcome: 'stopped' })
        expect(await log.runs.claim('a', claim('t'))).toMatchObject({ fence: 1 })
      })

      test('outcomes and runs survive a restart', async ({ skip }) => {
        skip(!driver.survives, 'this log does not outlive its process')
        const home = place()
        const log = await at(home)
        await log.runs.claim('a', claim('t1'))
        await log.append([by('t1', 'x', failed)])
        await log.runs.claim('b', claim('t2'))
        await log.runs.stop('b')
        await log.runs.stop('c')
        await log.close()
        const again = await at(home)
        expect(await stateOf(again)).toMatchObject({ outcome: 'failed', detail: failed.detail })
        expect(await again.runs.renew('b', 't2')).toMatchObject({ isStopAsked: true, fence: 1 })
        expect(await again.runs.claim('c', claim('t3'))).toMatchObject({ isStopAsked: true })
      })
    })

    test('lists runs by topic, page by page', async () => {
      const log = await make()
      for (const topic of ['b/2', 'a', 'b/1', 'c', 'b/3']) await log.runs.claim(topic, claim('t'))
      await log.append([{ topic: 'b/1', close: true, run: 't' }])
      const names = async (prefix: string, after: string, limit: number) =>
        (await log.runs.list({ prefix, after, limit })).map(({ topic }) => topic)
      expect(await names('', '', 3)).toEqual(['a', 'b/1', 'b/2'])
      expect(await names('', 'b/2', 3)).toEqual(['b/3', 'c'])
      expect(await names('b/', '', 10)).toEqual(['b/1', 'b/2', 'b/3'])
      expect(await log.runs.list({ prefix: 'b/1', after: '', limit: 1 })).toMatchObject([{ outcome: 'done' }])
    })
  })
}
