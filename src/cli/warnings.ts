import process from 'node:process'

/** Keeps Node 22 and 24 from warning at each command that their SQLite is experimental: the hub checks the release of SQLite that it needs. */
export function silenceSqlite(): void {
  const listeners = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning' && warning.message.includes('SQLite')) return
    for (const listener of listeners) listener.call(process, warning)
  })
}
