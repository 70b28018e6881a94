// Loaded into a Node that runs the hub with --expose-gc. V8 gives memory back when it must, or is told to: without this, what
// is measured is how long it waited.
process.on('SIGUSR2', () => globalThis.gc!({ type: 'major', execution: 'sync', flavor: 'last-resort' }))
