import type { Command } from './command.ts'

/** Every command: a line about it, and its module, which is loaded only to run it. */
export const commands: Readonly<Record<string, { readonly line: string; load(): Promise<Command> }>> = {
  serve: { line: 'Serve a hub; the default', load: async () => (await import('./serve.ts')).serve },
  send: { line: 'Publish to a topic', load: async () => (await import('./send.ts')).send },
  tail: { line: 'Print the events of topics as they arrive', load: async () => (await import('./tail.ts')).tail },
  topics: { line: 'List topics', load: async () => (await import('./topics.ts')).topics },
  token: { line: 'Make a token to try a hub that has keys', load: async () => (await import('./token.ts')).token },
  backup: { line: 'Copy an SQLite log while its hub runs', load: async () => (await import('./backup.ts')).backup },
  restore: { line: 'Put a backup in the place of a log', load: async () => (await import('./restore.ts')).restore },
  key: { line: 'Make an API key, and its line for the hub', load: async () => (await import('./key.ts')).key },
  doctor: { line: 'Check a hub as its clients reach it', load: async () => (await import('./doctor.ts')).doctor },
}
