import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { Cli } from './cli.ts'

afterEach(cleanUp)

const publish = async (hub: Server, data: string) => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ data }) }
  return ((await (await fetch(`${hub.url}/send?topic=a`, init)).json()) as { id: string }).id
}
const poll = async (hub: Server, query: string) => {
  const answer = await fetch(`${hub.url}/event?topic=a&${query}`, { headers: { accept: 'application/json' } })
  return (await answer.json()) as { events: { data: string }[]; gaps?: { reason: string }[] }
}

/** A log that is so large that copying it takes a while. Its hub has stopped. */
const largeLog = async () => {
  const place = folder()
  const LOG = `sqlite:${place}/hub.db`
  const hub = await start({ LOG })
  await hub.kill('SIGTERM')
  const log = new DatabaseSync(join(place, 'hub.db'))
  log.exec('CREATE TABLE filler AS SELECT randomblob(50000000)')
  log.close()
  return { place, LOG }
}

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings backup and restore on %s', (runtime) => {
  const cli = new Cli(runtime)

  test('copy a log while its hub runs, refuse to restore under its lock, and begin a new epoch', {
    timeout: 180_000,
  }, async () => {
    const place = folder()
    const LOG = `sqlite:${place}/hub.db`
    let hub = await start({ LOG })
    const before = await publish(hub, 'before')
    const run = (...args: string[]) => cli.run(args, { env: { LOG }, cwd: place })
    expect(await run('backup', 'b.db')).toEqual({ status: 0, stdout: `${before}\n`, stderr: '' })
    const after = await publish(hub, 'after')
    const again = await run('backup', 'b.db')
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('b.db: it exists; --force replaces it')])
    const locked = await run('restore', 'b.db')
    expect([locked.status, locked.stderr]).toEqual([1, expect.stringContaining(`process ${hub.pid} is writing to it`)])
    await hub.kill('SIGKILL') // leaves a WAL behind
    const { status, stdout: kept } = await run('restore', 'b.db')
    expect([status, existsSync(kept.trim())]).toEqual([0, true])
    expect(
      readdirSync(place).filter((name) => /-(wal|shm|tip|part)$/.test(name) && !name.includes('replaced')),
    ).toEqual([])
    hub = await start({ LOG })
    expect(await poll(hub, `lastEventId=${after}`)).toMatchObject({
      events: [{ data: 'before' }],
      gaps: [{ reason: 'epoch' }],
    })
    await hub.kill('SIGTERM')
    const old = new DatabaseSync(kept.trim())
    expect(
      old
        .prepare("SELECT data FROM entry WHERE topic = 'a'")
        .all()
        .map(({ data }) => data),
    ).toEqual(['before', 'after'])
    old.close()
  })

  /** A backup in `b.db`, and the files of a hub that was killed with a later event in its WAL. */
  const killed = async () => {
    const place = folder()
    const LOG = `sqlite:${place}/hub.db`
    const hub = await start({ LOG })
    await publish(hub, 'before')
    const run = (...args: string[]) => cli.run(args, { env: { LOG }, cwd: place })
    await run('backup', 'b.db')
    await publish(hub, 'after')
    await hub.kill('SIGKILL')
    return { LOG, file: join(place, 'hub.db'), backup: join(place, 'b.db'), run }
  }

  test('replace a log whose database is lost, and keep its WAL out of the way of the hub', async () => {
    const { LOG, file, run } = await killed()
    rmSync(file)
    const { status, stdout: kept } = await run('restore', 'b.db')
    const wal = kept.trim().replace(/(-tip|-wal|-shm)?$/, '-wal')
    expect([status, existsSync(kept.trim()), existsSync(wal), existsSync(`${file}-wal`)]).toEqual([
      0,
      true,
      true,
      false,
    ])
    const hub = await start({ LOG })
    expect(await poll(hub, 'from=earliest')).toMatchObject({ events: [{ data: 'before' }] })
  })

  test('keep a log as it is if its WAL belongs to another database', async () => {
    const { file, backup, run } = await killed()
    copyFileSync(backup, file)
    const wal = readFileSync(`${file}-wal`)
    const { status, stdout } = await run('restore', 'b.db')
    const kept = stdout.trim()
    expect([status, readFileSync(kept).equals(readFileSync(backup))]).toEqual([0, true])
    expect(readFileSync(`${kept}-wal`).equals(wal)).toBe(true)
  })

  test('replace an older backup with --force', async () => {
    const place = folder()
    const LOG = `sqlite:${place}/hub.db`
    const hub = await start({ LOG })
    const id = await publish(hub, 'newer')
    writeFileSync(join(place, 'b.db'), 'older')
    const replaced = await cli.run(['backup', 'b.db', '--force'], { env: { LOG }, cwd: place })
    expect(replaced).toEqual({ status: 0, stdout: `${id}\n`, stderr: '' })
    const copy = new DatabaseSync(join(place, 'b.db'), { readOnly: true })
    expect(copy.prepare("SELECT data FROM entry WHERE topic = 'a'").all()).toEqual([{ data: 'newer' }])
    copy.close()
  })

  test.each([
    ['backup', 'SIGINT', ['copy.db', '--force'], 'copy.db'],
    ['restore', 'SIGTERM', ['b.db'], 'hub.db'],
  ] as const)('%s leaves nothing of a copy at %s, and ends by the signal', async (command, signal, args, copied) => {
    const { place, LOG } = await largeLog()
    copyFileSync(join(place, 'hub.db'), join(place, 'b.db'))
    const part = join(place, `${copied}-part`)
    let ended: unknown = 0
    // A busy machine may not look before the copy is whole.
    while (ended === 0) {
      const running = cli.start([command, join(place, args[0]), ...args.slice(1)], { LOG })
      const look = setInterval(() => {
        if (!existsSync(part)) return
        clearInterval(look)
        void running.kill(signal)
      }, 1)
      ended = await running.stopped
      clearInterval(look)
    }
    const parts = readdirSync(place).filter((name) => name.includes('-part'))
    expect([ended, parts, existsSync(join(place, 'hub.db'))]).toEqual([signal, [], true])
  })

  test('let nobody read a copy who may not read the log, also while it is written', async () => {
    const { place, LOG } = await largeLog()
    chmodSync(join(place, 'hub.db'), 0o600)
    const modeOf = (name: string) => statSync(join(place, name), { throwIfNoEntry: false })?.mode
    const modes = new Set<number>()
    // A busy machine may not look while a copy is written.
    for (let i = 0; modes.size === 0; i++) {
      const look = setInterval(() => {
        const mode = modeOf(`${i}.db-part`)
        if (mode !== undefined) modes.add(mode & 0o777)
      }, 1)
      const { status } = await cli.run(['backup', `${i}.db`], { env: { LOG }, cwd: place })
      clearInterval(look)
      expect([status, modeOf(`${i}.db`)! & 0o777]).toEqual([0, 0o600])
    }
    expect([...modes]).toEqual([0o600])
  })

  test('change nothing if the file is no whole database of a hub, or LOG no file', async () => {
    const place = folder()
    const LOG = `sqlite:${place}/hub.db`
    writeFileSync(join(place, 'junk'), 'not a database, but long enough to be read as one'.repeat(100))
    const other = new DatabaseSync(join(place, 'other.db'))
    other.exec('CREATE TABLE a (b)')
    other.close()
    for (const file of ['junk', 'other.db', 'missing']) {
      const { status, stderr } = await cli.run(['restore', join(place, file)], { env: { LOG } })
      expect([status, stderr]).toEqual([1, expect.stringContaining(`Cannot read ${join(place, file)}: `)])
    }
    expect(readdirSync(place).sort()).toEqual(['junk', 'other.db'])
    const { status, stderr } = await cli.run(['backup', 'x', '--log', 'redis://ann:hunter2@127.0.0.1/h'], {
      cwd: place,
    })
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^Cannot do this with LOG: only an SQLite log/)])
    expect(stderr).not.toContain('hunter2')
  })
})
