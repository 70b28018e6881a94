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

/** A pattern for everything that a step shows, in this order. */
export function whatShows({ shows = [] }: Step): RegExp {
  const parts = shows.map((part) =>
    typeof part === 'string' ? part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&') : part.source,
  )
  return new RegExp(parts.join('[^]*?'), 'm')
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
    { block: 'TOKEN=', shows: ['"topic":"chat/room-1","durability":"disk"}'] },
  ],
  '.github/CONTRIBUTING.md': [
    { block: 'npm run check', unless: 'CI runs both before the tests' },
    { block: 'test:watch', shows: ['test/topic.test.ts', 'passed', 'test/topic.test.ts', 'passed'] },
  ],
  'src/README.md': [{ block: '--help', shows: ['PORT', '3000', 'Listen on this port', 'RETRY'] }],
  'src/routes/CLIENTS.md': [
    { block: 'npm run clients', unless: 'it takes minutes; test/clients/table.test.ts runs some clients' },
  ],
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
    {
      block: 'raw=true',
      shows: [/"id":"\w+-7","topic":"hooks","durability":"disk"/, /"id":"\w+-8","topic":"hooks"/],
    },
    { block: 'cloudevents+json', shows: [/"id":"\w+-9","topic":"orders","durability":"disk"/] },
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
        /"topic":"chat\/room-1","id":"\w+-10010","erased":1}/,
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
  'src/cli/README.md': [
    { block: 'tidings()', shows: ['Tidings, a Server-Sent Events hub.', 'tidings [COMMAND]', 'Exit codes: 0 ok'] },
    { block: '--config hub.env', shows: ['"status":"ready"'] },
    {
      block: '--key m-1',
      shows: [
        /^\w+-1$/,
        /^\w+-2$/,
        /^3$/,
        /^\w+-6$/,
        'hello\nfrom a pipe\n',
        /"topic":"numbers","event":"message","data":"1"/,
        /"data":"2"/,
        /^chat\/room-1\t3\t0\tclosed\t\w+-6$/,
        /^numbers\t3\t0\topen\t\w+-5$/,
      ],
    },
    { block: 'tidings token', shows: [/^eyJ\S+$/, /^key: {2}\S{43}$/, /^line: ci:[0-9a-f]{64}:deploys\/\*:$/] },
    { block: 'backup.db', shows: [/^\w+-6$/, 'SIGTERM: draining', /data\/tidings\.db\.replaced-\S+$/] },
    { block: 'doctor', shows: ['"status":"ready"', /note +durability/, /^ok +event +arrives/, /^ok +CORS/] },
  ],
  'test/recipes/README.md': [
    { block: 'recipes/news', shows: ['The news are at http://localhost:', '"topic":"news/world","durability":"disk"'] },
  ],
  'src/runs/README.md': [
    { block: 'npm start &', shows: ['"status":"ready"'] },
    {
      block: 'slow()',
      shows: ['"taken":5,"ended":true', 'event: hub.closed\ndata: {"topic":"ai/answer-1","outcome":"done"}'],
    },
    {
      block: 'TOKEN=$',
      shows: ['"durability":"disk"}', '"fence":1', '"isStopAsked":true', '"outcome":"stopped"'],
    },
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
    {
      block: 'docker compose -f .github/deploy/compose.yaml',
      unless: 'needs Docker and an image of the network; test/deploy checks its files',
    },
    {
      block: 'docker compose -f cluster.yaml',
      unless: 'needs Docker and images of the network; guides.test.ts checks its file',
    },
  ],
  'src/adapters/WORKERS.md': [
    { block: 'npm ci && npm run start:worker', shows: ['Ready on http://localhost:'], stays: true },
    {
      block: 'message=hi',
      shows: ['"pathname":"/send","id":"', '"topic":"chat/room-1","durability":"disk"}', '"data":"hello"'],
    },
    { block: 'deploy --dry-run', shows: [/gzip: \d+\.\d+ KiB/, 'env.HUBS (TidingsHub)', '--dry-run: exiting now'] },
    { block: 'wrangler login', unless: 'needs an account at Cloudflare' },
    {
      block: 'HUB_FROM:path',
      shows: ['{"status":"ok"}', '"topic":"a","durability":"disk"}', '"code":"token_invalid"', 'it is for another hub'],
      alone: true,
    },
  ],
  'test/README.md': [{ block: "'a repeat has no id'", shows: ['1 passed'] }],
  'test/bench/README.md': [
    { block: '-- --help', shows: ['npm run bench -- [--json] [--url <hub>] [row …]', 'fanout', 'cluster'] },
    { block: '-- fanout', unless: 'measures for minutes' },
  ],
}
