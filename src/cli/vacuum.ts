import { DatabaseSync } from 'node:sqlite'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { reasonOf } from '../errors.ts'
import { silenceSqlite } from './warnings.ts'

interface Paths {
  readonly from: string
  readonly to: string
}

/**
 * Copies a database as it is at one moment into a new or empty file, without its free pages. Other processes can write to it meanwhile. A thread does
 * it, because SQLite blocks until it is done.
 *
 * @throws the error of SQLite
 */
export function vacuumInto(paths: Paths): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: paths })
  return new Promise((resolve, reject) => {
    worker.on('message', (failure: string | null) => (failure === null ? resolve() : reject(new Error(failure))))
    worker.on('error', reject)
  })
}

function run({ from, to }: Paths): string | null {
  try {
    const database = new DatabaseSync(from, { readOnly: true })
    database.exec('PRAGMA busy_timeout = 5000')
    database.prepare('VACUUM INTO ?').run(to)
    database.close()
    return null
  } catch (cause) {
    return reasonOf(cause)
  }
}

if (!isMainThread && workerData?.to) {
  silenceSqlite()
  parentPort!.postMessage(run(workerData))
}
