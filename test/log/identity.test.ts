import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { steps } from '../../src/log/schema.ts'
import { Filter } from '../../src/topic.ts'
import { cleanUp, folder, start } from '../server/server.ts'
import { bindMount, type Volume, volume, withoutVolumes } from '../server/volume.ts'

/** Clean-up steps of a test, run in reverse order before its folders are removed. */
const undo: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const act of undo.splice(0).reverse()) await act()
  await cleanUp()
})

/** Resolves with the code of an error, or with `taken`. */
const codeOf = (done: Promise<unknown>) =>
  done.then(
    () => 'taken',
    ({ code }) => code as string,
  )
const open = (file: string, options?: Partial<LogOptions>) => {
  const log = openSqlite(file, options)
  undo.push(() => log.close())
  return log
}

const publish = (log: Log, count: number) =>
  log.append(Array.from({ length: count }, (_, i) => ({ topic: 'a', data: `${i}` })))
const inodeOf = (file: string) => statSync(file).ino
/** Overwrites a file in place, as `cp` does. Deno's `cpSync` may create another file instead. */
const writeOver = (from: string, to: string) => writeFileSync(to, readFileSync(from))
const backUp = (file: string) => {
  const copy = `${folder()}/backup.db`
  const database = new DatabaseSync(file)
  database.exec(`VACUUM INTO '${copy}'`)
  database.close()
  return copy
}
const removeAll = (file: string) => {
  for (const suffix of ['', '-wal', '-shm', '-lock', '-tip']) rmSync(file + suffix, { force: true })
}

/** Fills a log with five entries and closes it, with a backup taken after three. */
async function filled(file: string) {
  const log = open(file)
  await publish(log, 3)
  const backup = backUp(file)
  await publish(log, 2)
  await log.close()
  return { epoch: log.epoch, backup }
}

const places = [
  ['the folder for temporary files', '', () => ({ path: folder(), remove() {} })],
  ['an ext4 file system of its own', withoutVolumes, volume],
] as const

describe.each(places)('the epoch of a database, in %s:', (_, without, make) => {
  const prepared = (skip: (condition: boolean, why: string) => void): { path: string } & Partial<Volume> => {
    skip(without !== '', without)
    const made = make()
    undo.push(made.remove)
    return made
  }

  test('stays when the database is moved to another folder with all its files', async ({ skip }) => {
    const { path } = prepared(skip)
    const { epoch } = await filled(join(path, 'one', 'hub.db'))
    cpSync(join(path, 'one'), join(path, 'two'), { recursive: true }) // other inodes, as on another file system
    rmSync(join(path, 'one'), { recursive: true })
    expect(open(join(path, 'two', 'hub.db')).epoch).toBe(epoch)
  })

  test('stays when the database is opened again after a close or a kill', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch } = await filled(file)
    const server = await start({ LOG: `sqlite:${file}` })
    await fetch(`${server.url}/send?topic=a`, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } })
    await server.kill('SIGKILL')
    expect(open(file).epoch).toBe(epoch)
  })

  test('changes once when the database is copied without its other files', async ({ skip }) => {
    const { path } = prepared(skip)
    const { epoch } = await filled(join(path, 'hub.db'))
    cpSync(join(path, 'hub.db'), join(path, 'copy.db'))
    const copy = open(join(path, 'copy.db'))
    expect(copy.epoch).not.toBe(epoch)
    await copy.close()
    expect(open(join(path, 'copy.db')).epoch).toBe(copy.epoch)
  })

  test('changes once when a backup overwrites the database', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch, backup } = await filled(file)
    const inode = inodeOf(file)
    writeOver(backup, file)
    expect(inodeOf(file)).toBe(inode)
    const log = open(file)
    expect(log.epoch).not.toBe(epoch)
    expect(await log.append([{ topic: 'a', data: 'x' }])).toMatchObject([{ seq: 4 }]) // seq 4 exists in both epochs
    await log.close()
    expect(open(file).epoch).toBe(log.epoch)
  })

  test('changes when a backup is restored after all files were removed, even in the same inode', async ({ skip }) => {
    const { path, attachAgain } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch, backup } = await filled(file)
    const inode = inodeOf(file)
    removeAll(file)
    cpSync(backup, file)
    if (attachAgain) expect(inodeOf(file)).toBe(inode) // the reason for this test: ext4 reuses the inode
    expect(open(file).epoch).not.toBe(epoch)
  })

  test('changes when a backup is restored after kill -9 that lacks acknowledged entries', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch } = await filled(file)
    const server = await start({ LOG: `sqlite:${file}` })
    const backup = backUp(file)
    await fetch(`${server.url}/send?topic=a`, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } })
    await server.kill('SIGKILL')
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true })
    cpSync(backup, file)
    expect(open(file).epoch).not.toBe(epoch)
  })

  test('stays when a backup is restored and nothing was published since the backup', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch } = await filled(file)
    const backup = backUp(file)
    rmSync(file)
    cpSync(backup, file)
    expect(open(file).epoch).toBe(epoch)
  })

  test('changes each time that one backup is restored, also when entries were added in between', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch, backup } = await filled(file)
    writeOver(backup, file)
    const first = open(file)
    await publish(first, 7)
    await first.close()
    writeOver(backup, file)
    const second = open(file)
    expect(new Set([epoch, first.epoch, second.epoch]).size).toBe(3)
  })

  test('changes when a database of an earlier epoch is restored, also one that ends after the tip', async ({
    skip,
  }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    const { epoch, backup } = await filled(file)
    const whole = backUp(file)
    writeOver(backup, file)
    const first = open(file)
    expect(first.epoch).not.toBe(epoch)
    await first.close()
    writeOver(whole, file) // 5 entries, and the tip says 3
    expect([epoch, first.epoch]).not.toContain(open(file).epoch)
  })

  test('stays when the device number of the volume has changed', async ({ skip }) => {
    const { path, attachAgain } = prepared(skip)
    skip(!attachAgain, 'needs a file system of its own')
    const file = join(path, 'hub.db')
    const { epoch } = await filled(file)
    const { dev } = statSync(file)
    attachAgain!()
    expect(statSync(file).dev).not.toBe(dev)
    expect(open(file).epoch).toBe(epoch)
  })

  test('stays when a database without a tip is upgraded, and changes in a copy of it', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    asBefore(file)
    cpSync(file, join(path, 'copy.db'))
    const log = open(file)
    expect(log.epoch).toBe('epoch00000')
    expect((await log.read(0, { count: 9, bytes: 99 }, Filter.parse(['a']))).entries).toMatchObject([{ data: 'x' }])
    await log.close()
    expect(open(file).epoch).toBe('epoch00000')
    expect(open(join(path, 'copy.db')).epoch).not.toBe('epoch00000')
  })

  test('stays after a crash during the upgrade, and changes when older data is restored later', async ({ skip }) => {
    const { path } = prepared(skip)
    const file = join(path, 'hub.db')
    asBefore(file)
    const before = readFileSync(file)
    const log = open(file)
    await log.close()
    writeFileSync(file, before) // the tip was written, and the database was not changed
    const again = open(file)
    expect(again.epoch).toBe('epoch00000')
    await publish(again, 1)
    await again.close()
    writeFileSync(file, before)
    expect(open(file).epoch).not.toBe('epoch00000')
  })
})

/** Creates a database as the version before tips did, with one entry and its own device and inode as home. */
function asBefore(file: string): void {
  const database = new DatabaseSync(file)
  database.exec(`PRAGMA journal_mode = WAL; ${steps.slice(0, 2).join(';')};
    CREATE TABLE version (steps INTEGER NOT NULL) STRICT; INSERT INTO version VALUES (2);
    INSERT INTO entry VALUES (1, 'a', 1, 2, 0, NULL, NULL, 'x'); INSERT INTO topic VALUES ('a', 1, 2, 0, 0)`)
  const { dev, ino } = statSync(file)
  database
    .prepare("INSERT INTO state (one, epoch, home, head, time, count, bytes) VALUES (1, 'epoch00000', ?, 1, 1, 1, 2)")
    .run(`${dev}:${ino}`)
  database.close()
}

describe('the tip beside a database', () => {
  test('holds the seq of an entry before that entry is acknowledged', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    const seqIn = () => Number(readFileSync(`${file}-tip`, 'utf8').split(' ')[1])
    for (let i = 1; i <= 3; i++) {
      const publishing = log.append([{ topic: 'a', data: 'x' }]).then(([receipt]) => [receipt!.seq, seqIn()])
      expect(await publishing).toEqual([i, i])
    }
    expect(readFileSync(`${file}-tip`, 'utf8')).toBe(`${log.epoch} 0000000000000003\n`)
  })

  test('may fall behind in a power cut: the epoch stays', async () => {
    const file = join(folder(), 'hub.db')
    const { epoch } = await filled(file)
    writeFileSync(`${file}-tip`, `${epoch} 0000000000000002\n`)
    const log = open(file)
    expect(log.epoch).toBe(epoch)
    expect(readFileSync(`${file}-tip`, 'utf8')).toBe(`${epoch} 0000000000000005\n`)
  })

  test.each(['', 'x', 'epoch00000 1\n', '\0'.repeat(28)])(
    'that cannot be read (%j) gives the database another epoch',
    async (text) => {
      const file = join(folder(), 'hub.db')
      const { epoch } = await filled(file)
      writeFileSync(`${file}-tip`, text)
      expect(open(file).epoch).not.toBe(epoch)
    },
  )
})

describe('a WAL that was left beside a restored database', () => {
  /** The files of a log that nobody has open, in a folder of their own. */
  const copyOf = (file: string, suffixes: readonly string[]) => {
    const copy = join(folder(), 'hub.db')
    for (const suffix of suffixes) if (existsSync(file + suffix)) cpSync(file + suffix, copy + suffix)
    return copy
  }
  const contentOf = async (log: Log) => {
    const { entries } = await log.read(0, { count: 1e6, bytes: 1e9 }, Filter.parse(['**']))
    return entries.map(({ seq, data }) => `${seq} ${data?.slice(0, 20)}`)
  }
  /** A copy of everything in a database, page for page, as the command `.backup` of SQLite makes it. */
  const pageForPage = (file: string) => {
    const copy = copyOf(file, ['', '-wal'])
    const database = new DatabaseSync(copy)
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    database.close()
    return copy
  }
  const refusal = {
    code: 'log_unusable',
    message: expect.stringMatching(/hub\.db-wal does not belong.*remove hub\.db-wal/),
  }

  test('completes the database exactly, or is refused: any state of a log with the WAL of any other state', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file, { retention: { count: 200 } }) // pages are used again
    const states: { kill: string; copies: string[]; content: string[] }[] = []
    let said = 0
    for (const commits of [3, 20, 70, 5]) {
      for (let i = 0; i < commits; i++)
        await log.append(Array.from({ length: 20 }, () => ({ topic: `t/${said % 7}`, data: `${said++}`.padEnd(2000) })))
      const kill = copyOf(file, ['', '-wal', '-tip'])
      states.push({
        kill,
        copies: [kill, pageForPage(kill), backUp(copyOf(kill, ['', '-wal']))],
        content: await contentOf(log),
      })
    }
    const outcomes: string[] = []
    for (const [i, { copies }] of states.entries())
      for (const [kind, database] of copies.entries())
        for (const [j, { kill, content }] of states.entries()) {
          const both = copyOf(kill, ['-wal', '-tip'])
          cpSync(database, both)
          const files = () => ['', '-wal'].map((suffix) => readFileSync(both + suffix))
          const before = files()
          const what = `database ${i}, kind ${kind}, WAL ${j}`
          try {
            const mixed = openSqlite(both, { retention: { count: 200 } })
            expect([what, mixed.epoch, await contentOf(mixed)]).toEqual([what, log.epoch, content])
            await mixed.close()
            outcomes.push(`${i}${kind}${j}`)
          } catch (error) {
            expect([what, error]).toEqual([what, expect.objectContaining(refusal)])
            expect(files().every((bytes, at) => bytes.equals(before[at]!))).toBe(true)
          }
        }
    for (const i of states.keys()) expect(outcomes).toContain(`${i}0${i}`) // after kill -9 the log is opened again
    expect(outcomes).toContain('011') // nothing is refused that SQLite completes
    expect(outcomes.length).toBeLessThan(states.length ** 2)
  })

  test('is ignored if it holds no commit, as a power cut may leave it', async () => {
    const file = join(folder(), 'hub.db')
    const { epoch } = await filled(file)
    writeFileSync(`${file}-wal`, new Uint8Array(100_000))
    const log = open(file)
    expect([log.epoch, await contentOf(log)]).toEqual([epoch, ['1 0', '2 1', '3 2', '4 0', '5 1']])
  })

  test('is refused after kill -9; without it the backup has another epoch', async () => {
    const file = join(folder(), 'hub.db')
    const server = await start({ LOG: `sqlite:${file}` })
    const publish = () =>
      fetch(`${server.url}/send?topic=a`, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } })
    await publish()
    const backup = backUp(file)
    await publish()
    await server.kill('SIGKILL')
    const { epoch } = open(copyOf(file, ['', '-wal', '-tip']))
    writeOver(backup, file)
    expect(() => open(file)).toThrow(expect.objectContaining(refusal))
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix)
    const log = open(file)
    expect(log.epoch).not.toBe(epoch)
    expect(await contentOf(log)).toEqual(['1 x'])
  })

  test('is refused after the database was replaced under a running hub', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    await publish(log, 1)
    const backup = backUp(file)
    await publish(log, 1)
    cpSync(backup, `${file}-new`)
    renameSync(`${file}-new`, file)
    await log.close()
    expect(() => open(file)).toThrow(expect.objectContaining(refusal))
  })
})

describe('one writer', () => {
  test('a file with a second hard link is refused when it is opened', async () => {
    const file = join(folder(), 'hub.db')
    await open(file).close()
    linkSync(file, `${file}-other`)
    for (const name of [file, `${file}-other`])
      expect(() => open(name)).toThrow(
        expect.objectContaining({ code: 'log_unusable', message: expect.stringMatching(/2 hard links.*remove/) }),
      )
    rmSync(`${file}-other`)
    await publish(open(file), 1)
  })

  test('a file that is itself a mount is refused; the mounted folder that holds it is not', async ({ skip }) => {
    skip(withoutVolumes !== '', withoutVolumes)
    const [one, two] = [folder(), folder()]
    const file = join(one, 'hub.db')
    const log = open(file)
    const mounted = join(two, 'with a space.db')
    writeFileSync(mounted, '')
    undo.push(bindMount(file, mounted))
    expect(() => open(mounted)).toThrow(
      expect.objectContaining({ code: 'log_unusable', message: expect.stringMatching(/is a mount.*mount the folder/) }),
    )
    mkdirSync(join(two, 'folder'))
    undo.push(bindMount(one, join(two, 'folder')))
    expect(() => open(join(two, 'folder', 'hub.db'))).toThrow(expect.objectContaining({ code: 'log_locked' }))
    await log.close()
    expect(open(join(two, 'folder', 'hub.db')).epoch).toBe(log.epoch)
  })

  test('a hard link made while the log is open stops publishing until the link is removed', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    linkSync(file, `${file}-other`)
    await expect.poll(() => codeOf(publish(log, 1)), { timeout: 10_000 }).toBe('log_unusable')
    await expect(log.check()).rejects.toMatchObject({ message: expect.stringContaining('2 hard links') })
    rmSync(`${file}-other`)
    await publish(log, 1)
  })

  test('a mount of the file on itself, made while the log is open, stops publishing', async ({ skip }) => {
    skip(withoutVolumes !== '', withoutVolumes)
    const file = join(folder(), 'hub.db')
    const log = open(file)
    undo.push(bindMount(file, file))
    await expect.poll(() => codeOf(publish(log, 1)), { timeout: 10_000 }).toBe('log_unusable')
    await expect(log.check()).rejects.toMatchObject({ message: expect.stringContaining('is a mount') })
  })

  test('a database that another process has open is opened with a warning', async () => {
    const file = join(folder(), 'hub.db')
    await open(file).close()
    const backup = new DatabaseSync(file, { readOnly: true })
    backup.prepare('SELECT * FROM entry').all()
    const warnings: string[] = []
    const log = open(file, { warn: (sentence) => warnings.push(sentence) })
    expect(warnings).toEqual([expect.stringContaining('Another process has hub.db open')])
    await publish(log, 1)
    backup.close()
    await log.close()
    open(file, { warn: (sentence) => warnings.push(sentence) })
    expect(warnings).toHaveLength(1)
  })
})

describe('a file of an open log', () => {
  test.each(['', '-wal'])('hub.db%s is deleted: nothing more is acknowledged or delivered', async (suffix) => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    await publish(log, 1)
    const got: number[] = []
    await log.follow((entries) => got.push(...entries.map(({ seq }) => seq)))
    rmSync(file + suffix)
    for (let i = 0; i < 30; i++) await expect(publish(log, 1)).rejects.toMatchObject({ code: 'log_unusable' })
    await expect(log.check()).rejects.toMatchObject({
      code: 'log_unusable',
      message: expect.stringContaining(`${basename(file)}${suffix} was deleted while the hub had it open`),
    })
    expect(got).toEqual([])
  })

  test.each(['', '-wal', '-shm', '-lock', '-tip'])(
    'hub.db%s is replaced: within seconds publishes are refused, and one warning says why',
    async (suffix) => {
      const file = join(folder(), 'hub.db')
      const warnings: string[] = []
      const log = open(file, { warn: (sentence) => warnings.push(sentence) })
      await publish(log, 1)
      writeFileSync(`${file}-new`, existsSync(file + suffix) ? readFileSync(file + suffix) : '')
      renameSync(`${file}-new`, file + suffix)
      await expect.poll(() => warnings.length, { timeout: 10_000 }).toBe(1)
      await expect(publish(log, 1)).rejects.toMatchObject({ code: 'log_unusable' })
      expect(warnings).toEqual([expect.stringContaining(`hub.db${suffix} was replaced`)])
      expect(log.warnings).toEqual(warnings)
    },
  )

  test('hub.db is overwritten by a backup: nothing more is acknowledged, the backup stays whole, and the WAL is refused', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    await publish(log, 5)
    const backup = backUp(file)
    await publish(log, 1)
    writeOver(backup, file)
    for (let i = 0; i < 30; i++) await expect(publish(log, 1)).rejects.toMatchObject({ code: 'log_unusable' })
    await expect(log.check()).rejects.toMatchObject({ message: expect.stringContaining('hub.db was overwritten') })
    await log.close()
    expect(readFileSync(file).equals(readFileSync(backup))).toBe(true)
    expect(() => open(file)).toThrow(expect.objectContaining({ message: expect.stringContaining('does not belong') }))
  })

  test.each([
    ['nothing', ''],
    ['other text', 'x'.repeat(10_000)],
  ])('hub.db is overwritten with %s: the log can be closed', async (_, text) => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    await publish(log, 1)
    const other = new DatabaseSync(file)
    other.exec('PRAGMA wal_checkpoint(TRUNCATE)') // what is read now is in the database, not in the WAL
    other.close()
    writeFileSync(file, text)
    await expect(publish(log, 1)).rejects.toMatchObject({ code: 'log_unusable' })
    await log.close()
  })

  test('hub.db is overwritten and then deleted: the log can be closed, and lets go of its lock', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    writeFileSync(file, '')
    await expect(publish(log, 1)).rejects.toMatchObject({ code: 'log_unusable' })
    rmSync(file)
    await log.close()
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true })
    expect(await publish(open(file), 1)).toMatchObject([{ seq: 1 }])
  })

  test('hub.db is moved away and back: publishing continues', async () => {
    const file = join(folder(), 'hub.db')
    const log = open(file)
    renameSync(file, `${file}-away`)
    await expect(publish(log, 1)).rejects.toMatchObject({ code: 'log_unusable' })
    renameSync(`${file}-away`, file)
    expect(await publish(log, 1)).toMatchObject([{ seq: 1 }])
  })
})

describe('NEW_EPOCH', () => {
  test('begins a new epoch for each text that differs from the last one given', async () => {
    const file = join(folder(), 'hub.db')
    const epochs: string[] = []
    for (const newEpoch of [
      'first start',
      'first start',
      undefined,
      'restored',
      'restored',
      undefined,
      'first start',
    ]) {
      const log = open(file, newEpoch === undefined ? {} : { newEpoch })
      epochs.push(log.epoch)
      await publish(log, 1)
      await log.close()
    }
    const [a, b, c, d, e, f, g] = epochs
    expect([b, c, e, f]).toEqual([a, a, d, d])
    expect(new Set([a, d, g]).size).toBe(3)
  })
})
