import { prelude } from './prelude.ts'

/** A stop that is asked before the first claim of its topic forgets at most this many older ones. */
const STOP_STEP = 16
/** Most runs that are over that one call of `over` looks at, and about how many deadlines it compares with the clock. */
export const OVER_STEP = 500

/** Lua that makes the state of a run for a reply. */
const states = `
-- [topic, fence, leaseMs, graceMs, lease end or 0, stop, outcome, detail]; false if nobody has claimed the topic.
local function stateOf(name)
  local row = runRow(name)
  if not row then return false end
  local leaseEnd = row.o and 0 or leaseEndOf(name, row)
  return { name, row.f, row.l, row.g, leaseEnd, row.s, row.o or false, row.d or false }
end
`

/**
 * `claim epoch topic claim stop-age max-runs`
 *
 * Claims a topic for a producer. Counts as a sign of life.
 *
 * - `claim`: `p` (token), `l` (`leaseMs`), `g` (`graceMs`) and optionally `k` (key), as JSON
 * - `stop-age`: how long a stop is kept that was asked before the first claim, in ms
 * - `max-runs`: how many active runs there may be
 *
 * Reply: `[announced, state]`, or `[code, lease-end]` with `topic_closed`, `run_taken` or `too_many_runs`. `announced` is the id of the element in `:wire`
 * that tells all nodes, and the topic. Error: `LOST`.
 */
export const claim = `${prelude}${states}
local name, given, stopAge, maxRuns = ARGV[2], cjson.decode(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if isLost() then return LOST end
if topicRow(name).closed > 0 then return { 'topic_closed', 0 } end
local row, clock = runRow(name), now()
if row and not row.o then
  local isSame = given.k ~= nil and given.k == row.k
  local leaseEnd = leaseEndOf(name, row)
  if clock < leaseEnd and not isSame then return { 'run_taken', leaseEnd } end
end
if not (row and not row.o) and meta.active >= maxRuns then return { 'too_many_runs', 0 } end
given.f, given.s = row and row.f + 1 or 1, row and row.s or 0
if not row and meta.stops > 0 then
  local stop = tonumber(call('ZSCORE', STOPS, name) or 0)
  if stop >= clock - stopAge then given.s = stop end
  meta.stops = meta.stops - call('ZREM', STOPS, name)
end
saveRun(name, given)
extendLease(name, given, clock)
keepOldNodesOut()
saveMeta()
return { announceRuns({ name }), stateOf(name) }
`

/**
 * `renew epoch topic token`
 *
 * Reply: the state of the run, whose lease lasts anew; nil if the token is not that of the present claim, or the run has ended. Error: `LOST`.
 */
export const renew = `${prelude}${states}
local name, token = ARGV[2], ARGV[3]
if isLost() then return LOST end
local row = activeRun(name)
if not row or row.p ~= token then return false end
extendLease(name, row, now())
return stateOf(name)
`

/**
 * `stop epoch topic fence stop-age stop-count`
 *
 * Asks the producer of a topic to stop.
 *
 * - `fence`: the claim that is meant, 0 for any
 * - `stop-age`, `stop-count`: how long a stop is kept that was asked before the first claim, in ms, and how many of them
 *
 * Reply: `[announced, state]`, the state false if nobody has claimed the topic, or `['topic_closed']` if it was closed without a run.
 * Error: `LOST`.
 */
export const stop = `${prelude}${states}
local name, fence, stopAge, stopCount = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if isLost() then return LOST end
local row, clock, changed = runRow(name), now(), {}
if topicRow(name).closed > 0 and not (row and row.o) then return { 'topic_closed' } end
if not row and fence == 0 then
  meta.stops = meta.stops + call('ZADD', STOPS, int(clock), name)
  local oldest = call('ZRANGE', STOPS, 0, ${STOP_STEP - 1}, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    if meta.stops <= stopCount and tonumber(oldest[i + 1]) >= clock - stopAge then break end
    meta.stops = meta.stops - call('ZREM', STOPS, oldest[i])
  end
  saveMeta()
elseif row and not row.o and row.s == 0 and (fence == 0 or fence == row.f) then
  row.s = clock
  saveRun(name, row)
  changed = { name }
end
return { announceRuns(changed), stateOf(name) }
`

/**
 * `runs epoch names`, or `runs epoch [] prefix after limit`
 *
 * Reply: the states of the runs of the topics in `names`, a JSON list, false for topics that nobody has claimed; or the states of at most
 * `limit` runs whose topics begin with `prefix` and come after `after`, sorted. Error: `LOST`.
 */
export const runs = `${prelude}${states}
if isLost() then return LOST end
local names, found = cjson.decode(ARGV[2]), {}
if ARGV[3] then names = namesBetween(CLAIMED, ARGV[3], ARGV[4], tonumber(ARGV[5])) end
for i, name in ipairs(names) do found[i] = stateOf(name) end
return found
`

/**
 * `over epoch connected-ms offset cursor`
 *
 * Finds runs that are over: their lease and the time after it have ended. The caller then ends each of them by a close under its token.
 * Brings forward deadlines that were written while the clock was ahead, a part of them with each call.
 *
 * - `connected-ms`: for how long the caller has been connected without a break. Runs with a longer lease are left out: their producers may
 *   have been without a connection too
 * - `offset`: how many of the runs that are over to skip
 * - `cursor`: 0 to begin with the deadlines, or the `cursor` of the last reply; empty once all were looked at
 *
 * Reply: `[time, looked, topics and tokens, cursor]`: the server's time, and at how many runs the call has looked, at most `OVER_STEP`.
 * Error: `LOST`.
 */
export const over = `${prelude}
local connectedMs, offset, cursor = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if isLost() then return LOST end
local clock = now()
if meta.active == 0 then return { clock, 0, {}, '' } end
if cursor ~= '' then
  local after, page = unpack(call('ZSCAN', DUE, cursor, 'COUNT', ${OVER_STEP}))
  for i = 1, #page, 2 do
    local row = runRow(page[i])
    if tonumber(page[i + 1]) > clock + row.l + row.g then extendLease(page[i], row, clock) end
  end
  cursor = after == '0' and '' or after
end
local names, found = call('ZRANGEBYSCORE', DUE, '-inf', int(clock), 'LIMIT', offset, ${OVER_STEP}), {}
for _, name in ipairs(names) do
  local row = runRow(name)
  if row.l <= connectedMs then
    found[#found + 1] = name
    found[#found + 1] = row.p
  end
end
return { clock, #names, found, cursor }
`
