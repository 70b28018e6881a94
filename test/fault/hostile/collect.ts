// Loaded into a Node that runs the hub with --expose-gc. V8 gives memory back when it has to, or on request: without this the
// measurement would only show how long it waited.
process.on('SIGUSR2', () => globalThis.gc!({ type: 'major', execution: 'sync', flavor: 'last-resort' }))
