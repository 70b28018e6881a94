import { spawnSync } from 'node:child_process'

/** What a reader does with a block of commands of a guide. */
export interface Step {
  /** A part of the block's text that no other block of its guide contains. */
  readonly block: string
  /** What the commands of the block print, in this order. */
  readonly shows?: readonly (string | RegExp)[]
  /** The commands run until the reader closes the terminal, and the next block goes into another one. */
  readonly stays?: true
  /** The reader has closed all terminals before. */
  readonly alone?: true
  /** Why the block is not run; '' if it is run. */
  readonly unless?: string
}

const needs = (name: string) =>
  spawnSync(name, ['--version']).error ? `needs ${name}, which this machine does not have` : ''

/** Every block of commands of every guide, in the order of the guide. */
export const steps: Readonly<Record<string, readonly Step[]>> = {
  'README.md': [
    { block: 'npm ci && npm start', shows: ['Tidings listens on http://localhost:'], stays: true },
    {
      block: 'message=hi',
      shows: [
        '"pathname":"/send","id":"',
        'event: message\ndata: {"message":"hi","timestamp":"',
        'data: {"message":"hi"',
      ],
      stays: true,
    },
    {
      block: '"key":"m-1"',
      shows: ['"topic":"chat/room-1","durability":"disk"}', 'event: hub.open', /data: hello\nid: \w+-2\n/],
      stays: true,
    },
    {
      block: 'answer()',
      shows: [
        'event: hub.open',
        'data: Words',
        'data: as',
        'data: they',
        'data: come',
        'event: hub.closed\ndata: {"topic":"ai/',
      ],
    },
    {
      block: 'AUTH_SECRET_FILE=',
      shows: [/listens on \S+ \(closed: requires a token or an API key\); log sqlite:\S+, durability disk/],
      alone: true,
      stays: true,
    },
  ],
  '.github/CONTRIBUTING.md': [
    { block: 'npm run check', unless: 'CI runs both before the tests' },
    { block: 'test:watch', shows: ['test/topic.test.ts', 'passed', 'test/topic.test.ts', 'passed'] },
  ],
  'src/README.md': [{ block: '--help', shows: ['PORT', '3000', 'Listen on this port', 'RETRY'] }],
  'src/routes/README.md': [
    { block: 'npm start &', shows: ['"status":"ready"'] },
    {
      block: 'message=hi',
      shows: ['{"query":{"message":"hi"},"body":{},"pathname":"/send","id":', '"body":{"message":"hello"}'],
    },
    {
      block: '"key":"m-1"',
      shows: [
        /"id":"\w+-3","topic":"chat\/room-1","durability":"disk"/,
        /"id":"\w+-3","topic":"chat\/room-1","duplicate":true/,
        /"id":"\w+-4"/,
        /"ids":\["\w+-5","\w+-6"\],"topics":\["chat\/a","chat\/b"\]/,
      ],
    },
    { block: 'numbers()', shows: ['"taken":10000', '"taken":10000', '"duplicates":10000'] },
    {
      block: 'wait=5',
      shows: [
        ...['"event":"said","data":"hello"', 'plain text', 'both', '{\\"or\\":\\"none\\"}'],
        ...['both', '{\\"or\\":\\"none\\"}'],
      ],
    },
    {
      block: '-X DELETE',
      shows: [
        '"topic":"chat/a"',
        /"topic":"chat\/room-1","lastId":"\w+-4","kept":2,"readers":0,"closed":false/,
        /"topic":"chat\/room-1","id":"\w+-10007","erased":1}/,
        '{"topic":"chat/room-1","erased":2}',
      ],
    },
    { block: 'last=0', shows: ['"code":"parameter_invalid"', 'expected a whole number'] },
    { block: '/health', shows: ['{"status":"ok"}', '"status":"ready"'] },
  ],
  'src/auth/README.md': [
    { block: 'AUTH_SECRET=', shows: ['closed: requires a token or an API key', '{"status":"ok"}'] },
    {
      block: '--sub ann',
      shows: [
        '"status":401,"code":"token_missing"',
        '"topic":"chat/room-1","durability":"memory"',
        '"event":"message","data":"hello"',
      ],
    },
    { block: '--api-key', shows: [/^key: {2}\S{43}$/m, /^line: ci:[0-9a-f]{64}:deploys\/\*:$/m] },
    {
      block: '/login',
      shows: ['200 OK', /set-cookie: __Host-tidings=\S+; .*HttpOnly/i, '"expiresAt"', '"data":"hello"'],
    },
    { block: '/revoke', shows: ['204 No Content', '"status":401,"code":"token_invalid"'] },
  ],
  'src/log/README.md': [
    { block: 'VACUUM', shows: ['"status":"ready"', '"durability":"disk"'], unless: needs('sqlite3') },
    {
      block: 'kill $HUB',
      shows: ['SIGTERM: draining', '"status":"ready"', '"data":"before the backup"', '"reason":"epoch"'],
      unless: needs('sqlite3'),
    },
    {
      block: 'redis-server',
      shows: [
        '"status":"ready","durability":"disk"',
        '"durability":"disk"',
        '"durability":"disk"',
        '"data":"to one node"',
      ],
      unless: needs('redis-server'),
    },
  ],
  'src/adapters/README.md': [
    { block: 'docker compose up', unless: 'needs Docker and an image of the network; guides.test.ts checks its file' },
    {
      block: 'docker compose -f cluster.yaml',
      unless: 'needs Docker and images of the network; guides.test.ts checks its file',
    },
    { block: 'deploy --dry-run', shows: [/gzip: [89]\d\.\d+ KiB/, 'env.HUBS (TidingsHub)', '--dry-run: exiting now'] },
    { block: 'wrangler login', unless: 'needs an account at Cloudflare' },
  ],
  'test/README.md': [{ block: "'a repeat has no id'", shows: ['1 passed'] }],
  'test/bench/README.md': [
    { block: '-- --help', shows: ['npm run bench -- [--json] [--url <hub>] [row …]', 'fanout', 'cluster'] },
    { block: '-- fanout', unless: 'measures for minutes' },
  ],
}
