import { prelude } from './prelude.ts'

/** A process that has said nothing for so long is not waited for, and what it has is not counted. */
export const LEASE_MS = 15_000
/** A bucket is not in debt for longer, in ms. */
const MAX_DEBT_MS = 3_600_000

/** Says that a process is there: its name and for how long that holds, in ms; 0 takes leave. */
export const beat = `${prelude}
local clock = now()
call('ZREMRANGEBYSCORE', NODES, '-inf', int(clock))
-- Leases of a clock that was ahead; who is there says so again.
call('ZREMRANGEBYSCORE', NODES, '(' .. int(clock + ${2 * LEASE_MS}), '+inf')
if ARGV[2] == '0' then call('ZREM', NODES, ARGV[1]) else call('ZADD', NODES, int(clock + ARGV[2]), ARGV[1]) end
return 1
`

/** Asks all others: the process's name, the question's, and the question. Returns who they are. */
export const ask = `${prelude}
local others = call('ZRANGEBYSCORE', NODES, int(now()), '+inf')
for i, name in ipairs(others) do
  if name == ARGV[1] then
    table.remove(others, i)
    break
  end
end
if #others > 0 then call('XADD', WIRE, 'MAXLEN', '~', 100, '*', 'k', 'ask', 'from', ARGV[1], 'id', ARGV[2], 'text', ARGV[3]) end
return others
`

/** Takes out of a bucket: its name, how many, how many a second. Returns how long to wait in ms, and then nothing was taken. */
export const take = `${prelude}
local name, count, perSecond, clock = base .. ':rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), now()
local fullAt = math.max(clock, tonumber(call('GET', name) or 0))
if fullAt - clock > ${MAX_DEBT_MS} then fullAt = clock end -- it is of a clock that was ahead
local held = (1000 - (fullAt - clock)) * perSecond
if held < 999 then return math.ceil((1000 - held) / perSecond) end
fullAt = fullAt + math.ceil(count * 1000 / perSecond)
call('SET', name, int(fullAt), 'PX', int(fullAt - clock + 1))
return 0
`
