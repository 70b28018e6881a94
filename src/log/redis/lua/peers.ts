import { prelude } from './prelude.ts'
import { WIRE_LENGTH } from './wire.ts'

/** How long a lease lasts, in ms. A node without one is not asked, and its readers are not counted. */
export const LEASE_MS = 15_000
/** Longest debt of a bucket, in ms. A longer debt was written while the clock was ahead, and is ignored. */
const MAX_DEBT_MS = 3_600_000

/**
 * `renew-lease node ms`
 *
 * Tells the other nodes that a node is alive for the next `ms`; 0 ends its lease. Removes the leases that have ended, and those that end
 * implausibly late: these were written while the clock was ahead, and their nodes renew them.
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
 * Asks all other nodes a question. They answer in the same stream, with the id of the question.
 *
 * Reply: the names of the other nodes.
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
 * Takes tokens out of a bucket that all nodes share. A full bucket holds the tokens of one second. A call that finds at least one token may
 * take more than the bucket holds, and puts it into debt.
 *
 * Reply: 0; or, if nothing was taken, how many ms to wait until the bucket holds a token.
 */
export const take = `${prelude}
local name, count, perSecond, clock = base .. ':rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), now()
local fullAt = math.max(clock, tonumber(call('GET', name) or 0))
if fullAt - clock > ${MAX_DEBT_MS} then fullAt = clock end
-- In thousandths of a token. 999 count as a whole token, because times are rounded to milliseconds.
local held = (1000 - (fullAt - clock)) * perSecond
if held < 999 then return math.ceil((1000 - held) / perSecond) end
fullAt = fullAt + math.ceil(count * 1000 / perSecond)
call('SET', name, int(fullAt), 'PX', int(fullAt - clock + 1))
return 0
`
