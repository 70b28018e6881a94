import { prelude } from './prelude.ts'

/** How long a lease lasts, in ms. A node without one is not asked, and its readers are not counted. */
export const LEASE_MS = 15_000
/** About how many questions and answers `:wire` holds: each is answered within a second or never. */
export const WIRE_LENGTH = 100
/** Longest debt of a bucket, in ms. The clock was ahead when a longer one was written. */
const MAX_DEBT_MS = 3_600_000

/**
 * `renew-lease node ms`
 *
 * Tells the other nodes that a node is alive for so long; 0 ms ends its lease. Removes the leases that have ended, and those that end later
 * than any can: the clock was ahead when they were given, and their nodes renew them.
 *
 * Reply: 1.
 */
export const renewLease = `${prelude}
local node, ms, clock = ARGV[1], tonumber(ARGV[2]), now()
call('ZREMRANGEBYSCORE', NODES, '-inf', int(clock))
call('ZREMRANGEBYSCORE', NODES, '(' .. int(clock + ${2 * LEASE_MS}), '+inf')
if ms == 0 then call('ZREM', NODES, node) else call('ZADD', NODES, int(clock + ms), node) end
return 1
`

/**
 * `ask node id question`
 *
 * Puts a question of a node to all others, who answer with its id in the same stream.
 *
 * Reply: the names of the others.
 */
export const ask = `${prelude}
local node, id, question = ARGV[1], ARGV[2], ARGV[3]
local others = call('ZRANGEBYSCORE', NODES, int(now()), '+inf')
for i, name in ipairs(others) do
  if name == node then
    table.remove(others, i)
    break
  end
end
if #others > 0 then
  call('XADD', WIRE, 'MAXLEN', '~', ${WIRE_LENGTH}, '*', 'k', 'ask', 'from', node, 'id', id, 'text', question)
end
return others
`

/**
 * `take bucket count per-second`
 *
 * Takes tokens out of a bucket that all nodes share. It holds those of one second, and goes into debt as long as it holds one.
 *
 * Reply: 0, or how many ms to wait until the bucket holds a token; then nothing was taken.
 */
export const take = `${prelude}
local name, count, perSecond, clock = base .. ':rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), now()
local fullAt = math.max(clock, tonumber(call('GET', name) or 0))
if fullAt - clock > ${MAX_DEBT_MS} then fullAt = clock end
-- In thousandths of a token; one may be missing because times are whole milliseconds.
local held = (1000 - (fullAt - clock)) * perSecond
if held < 999 then return math.ceil((1000 - held) / perSecond) end
fullAt = fullAt + math.ceil(count * 1000 / perSecond)
call('SET', name, int(fullAt), 'PX', int(fullAt - clock + 1))
return 0
`
