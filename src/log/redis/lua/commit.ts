import { changes } from './changes.ts'
import { MAX_CLOCK_STEP_BACK_MS } from './clock.ts'
import { prelude } from './prelude.ts'

/** Lua that gives a batch its receipts or refuses it, and that appends its messages. */
const appending = `
local clock = now()
local isSetBack = meta.time - clock > ${MAX_CLOCK_STEP_BACK_MS}
local time = isSetBack and clock or math.max(meta.time, clock)
local appended, endedRuns = 0, {}

local function keyField(m) return m.t .. '\\n' .. m.k end
local function isKeyExpired(seq, keyTime) return effectiveTime(seq, keyTime) < clock - options.keyAgeMs end
local function forgetKey(field)
  call('HDEL', KEY, field)
  call('ZREM', KEYS_BY_SEQ, field)
  meta.keys = meta.keys - 1
end
-- The message that was appended with this key; nil if the key is unknown.
local function knownMessage(field)
  local text = call('HGET', KEY, field)
  if not text then return nil end
  local hash, seq, keyTime = string.match(text, '^(%S+) (%d+) (%d+)$')
  local known = { hash = hash, seq = tonumber(seq), time = tonumber(keyTime) }
  if not isKeyExpired(known.seq, known.time) then return known end
  forgetKey(field)
  return nil
end

-- Why a message may not be appended because of the run of its topic, and when the lease ends; nil if it may.
local function refusalByRun(m)
  local run = activeRun(m.t)
  if not run then return m.p and 'run_lost' end
  if not m.p then return 'run_taken', leaseEndOf(m.t, run) end
  if m.p ~= run.p then return 'run_lost' end
  -- A node ends a run under the token of the producer, who may have given a sign of life in the meantime.
  if m.o == 'abandoned' and clock < deadlineOf(m.t) then return 'run_taken', leaseEndOf(m.t, run) end
end
local function noteLife(m)
  local run = m.p and activeRun(m.t)
  if run and run.p == m.p then extendLease(m.t, run, clock) end
end

-- Returns a receipt for each message of a batch; or nil, a code, the number of the message that is refused, and the end of a lease.
local function receiptsFor(batch)
  local receipts, newKeys, closes, head = {}, {}, {}, meta.head
  for i, m in ipairs(batch) do
    local first = m.k and (newKeys[keyField(m)] or knownMessage(keyField(m)))
    if first then
      if first.hash ~= m.h then return nil, 'key_conflict', i end
      receipts[i] = { first.seq, first.time, 1 }
    else
      if closes[m.t] or changedRow(m.t).closed > 0 then return nil, 'topic_closed', i end
      local code, leaseEnd = refusalByRun(m)
      if code then return nil, code, i, leaseEnd end
      if m.c then closes[m.t] = true end
      head = head + 1
      receipts[i] = { head, time, 0 }
      if m.k then newKeys[keyField(m)] = { hash = m.h, seq = head, time = time } end
    end
  end
  return receipts
end

local function append(m, seq)
  if isSetBack and appended == 0 then addStep(seq, time) end
  local fields = { 'm', int(time), 'w', int(m.w), 't', m.t }
  for _, name in ipairs({ 'd', 'e', 'r', 'c', 'o' }) do
    if m[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = m[name]
    end
  end
  call('XADD', LOG, int(seq) .. '-' .. int(meta.tag), unpack(fields))
  call('ZADD', seqsKey(m.t), int(seq), int(seq))
  local row = changedRow(m.t)
  row.count, row.bytes = row.count + 1, row.bytes + m.w
  if m.c then row.closed = seq end
  if m.c and m.p then
    endRun(m.t, activeRun(m.t), m.o or 'done')
    endedRuns[#endedRuns + 1] = m.t
  end
  if isInternal(m.t) then trimFrom = 0 end -- the topic's entry before this one may be trimmed now
  meta.head, meta.time, meta.count, meta.bytes = seq, time, meta.count + 1, meta.bytes + m.w
  appended = appended + 1
  if m.k then
    call('HSET', KEY, keyField(m), m.h .. ' ' .. int(seq) .. ' ' .. int(time))
    call('ZADD', KEYS_BY_SEQ, int(seq), keyField(m))
    meta.keys = meta.keys + 1
  end
end
`

/** Lua that trims what exceeds the retention, oldest first, looking at a bounded number of entries. */
const trimming = `
local retention = options.retention
local function exceeds(counts, count, bytes) return (count and counts.count > count) or (bytes and counts.bytes > bytes) end
-- Whether an entry is the newest of a $ topic. Such an entry is state of the hub and is never trimmed.
local function isState(entry)
  if not isInternal(entry.t) then return false end
  local newest = newestSeq(entry.t)
  return newest == entry.seq or newest == 0 -- 0: the topic's seqs are missing; the next check of the topic notices that
end

local function trimTopic(name, maxLooks)
  local row = topicRow(name)
  local function isOver() return exceeds(row, retention.topicCount, retention.topicBytes) end
  local left, after = maxLooks, '-inf'
  while left > 0 and isOver() do
    local size = math.min(left, 20)
    local seqs = call('ZRANGEBYSCORE', seqsKey(name), after, '+inf', 'LIMIT', 0, size)
    for _, seq in ipairs(seqs) do
      if not isOver() then break end
      local entry = entryAt(tonumber(seq))
      if not isState(entry) then trim(entry) end
    end
    if #seqs < size then break end
    left, after = left - #seqs, '(' .. seqs[#seqs]
  end
end

-- Returns true if it stopped after maxLooks entries: there may be more to trim.
local function trimLog(maxLooks)
  local oldestTime = retention.ageMs and clock - retention.ageMs
  local left = maxLooks
  while left > 0 do
    local size = math.min(left, 100)
    local entries = entriesBetween(int(trimFrom), '+', size)
    for _, entry in ipairs(entries) do
      local isOld = oldestTime and effectiveTime(entry.seq, entry.m) < oldestTime
      if not isOld and not exceeds(meta, retention.count, retention.bytes) then return false end
      if not isState(entry) then trim(entry) end
      trimFrom = entry.seq + 1
    end
    if #entries < size then return false end
    left = left - size
  end
  return true
end

local function trimKeys(maxLooks)
  if meta.keys == 0 then return end
  for _, field in ipairs(call('ZRANGE', KEYS_BY_SEQ, 0, maxLooks - 1)) do
    local seq, keyTime = string.match(call('HGET', KEY, field), ' (%d+) (%d+)$')
    if meta.keys <= options.keyCount and not isKeyExpired(tonumber(seq), tonumber(keyTime)) then return end
    forgetKey(field)
  end
end
`

/** How many marks are made in the time `closedAgeMs`. The age of a close is known to a hundredth of it. */
const MARKS_PER_AGE = 100

/** Lua that forgets closed topics without entries that are too old or too many. */
const forgetting = `
-- The heads at past times. Adds a mark for now if isDue.
local function marksOf(isDue)
  local marks = {}
  for seq, time in string.gmatch(call('HGET', META, 'marks') or '', '(%d+):(%d+)') do
    marks[#marks + 1] = { seq = tonumber(seq), time = tonumber(time) }
  end
  if not isDue then return marks end
  -- Drops marks with a future time, which a clock that was ahead has left; and marks that are too old, except the newest of these.
  while #marks > 0 and marks[#marks].time >= clock do table.remove(marks) end
  while #marks > 1 and marks[2].time <= clock - options.closedAgeMs do table.remove(marks, 1) end
  marks[#marks + 1] = { seq = meta.head, time = clock }
  local texts = {}
  for i, mark in ipairs(marks) do texts[i] = int(mark.seq) .. ':' .. int(mark.time) end
  call('HSET', META, 'marks', table.concat(texts, ' '))
  meta.marked = clock
  return marks
end

-- Returns true if it stopped after limit topics: there may be more to forget. Never forgets the topic that was closed last, because
-- isDamaged takes a log without topics for damaged.
local function forgetClosed(limit, isSweep)
  local isMarkDue = meta.marked == 0 or clock < meta.marked or clock - meta.marked >= options.closedAgeMs / ${MARKS_PER_AGE}
  local kept = call('ZCARD', CLOSED)
  if not isMarkDue and (kept == 0 or not (isSweep or kept > options.closedCount)) then return false end
  local upTo = 0
  for _, mark in ipairs(marksOf(isMarkDue)) do
    if mark.time <= clock - options.closedAgeMs then upTo = mark.seq end
  end
  local oldest = call('ZRANGE', CLOSED, 0, limit - 1, 'WITHSCORES')
  local gone = 0
  for i = 1, #oldest, 2 do
    local name, closed, row = oldest[i], tonumber(oldest[i + 1]), topicRow(oldest[i])
    if kept <= 1 or (kept <= options.closedCount and closed > upTo) then return false end
    if isOnlyClosed(row) and row.closed == closed then
      call('HDEL', TOPICS, name)
      for _, set in ipairs({ NAMES, TRIMMED }) do call('ZREM', set, name) end
      removeRun(name)
      meta.floor = math.max(meta.floor, closed, row.trimmed)
    end
    call('ZREM', CLOSED, name)
    kept, gone = kept - 1, gone + 1
  end
  return gone == limit
end
`

/**
 * `commit epoch options batches trim-step delivered-to trim-from`
 *
 * Appends batches, each whole or not at all. Trims what exceeds the retention if it appended anything, or if there are no batches: the call
 * is then a step of a sweep.
 *
 * - `options`: retention, keyAgeMs, keyCount, trimmedCount, closedAgeMs and closedCount, as JSON
 * - `batches`: lists of messages as JSON. A message has `t` (topic), `w` (weight), and optionally `d`, `e`, `r`, `c`, `o` as in `:log`,
 *   `k` (key), `h` (hash of its payload) and `p` (token of a run)
 * - `trim-step`: how many entries trimming looks at, in addition to twice the appended ones
 * - `delivered-to`: the newest seq that was delivered to the caller
 * - `trim-from`: the oldest seq that trimming looks at; all entries before this seq are state of the hub, which is never trimmed
 *
 * Reply: `[more, outcomes, trim-from, announced]`. `more` is 1 if there may be more to trim or forget. An outcome is a list of
 * `[seq, time, is-duplicate]`; or `[code, number, lease-end]` with `key_conflict`, `topic_closed`, `run_taken` or `run_lost`, the number of
 * the message that is refused, from 1, and for `run_taken` the end of the lease. Pass `trim-from` to the next commit. `announced` is empty,
 * or the id of the element in `:wire` that tells all nodes which runs have ended, and their topics. Errors: `LOST`, `REWOUND`.
 */
export const commit = `${prelude}${changes}
local options, batches, trimStep = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), tonumber(ARGV[4])
local deliveredTo, trimFrom = tonumber(ARGV[5]), tonumber(ARGV[6])
local function isInternal(topic) return string.sub(topic, 1, 1) == '$' end

local names, isNamed = {}, {}
for _, batch in ipairs(batches) do
  for _, m in ipairs(batch) do
    if not isNamed[m.t] then
      names[#names + 1] = m.t
      isNamed[m.t] = true
    end
  end
end
if isLost() or isAnyDamaged(names) then return LOST end
if meta.head < deliveredTo then return REWOUND end
${appending}${trimming}${forgetting}
local outcomes = {}
for b, batch in ipairs(batches) do
  local receipts, code, number, leaseEnd = receiptsFor(batch)
  outcomes[b] = receipts or { code, number, leaseEnd }
  if receipts then
    for i, m in ipairs(batch) do
      local seq, _, isDuplicate = unpack(receipts[i])
      noteLife(m)
      if isDuplicate == 0 then append(m, seq) end
    end
  end
end

-- A sweep notices without an append that the clock was set back: entries of its future are as old as this step.
if #batches == 0 and isSetBack then
  meta.time = clock
  addStep(meta.head + 1, clock)
end
local more = 0
if appended > 0 or #batches == 0 then
  local maxLooks = 2 * appended + trimStep
  if retention.topicCount or retention.topicBytes then
    for i = 1, #changedNames do trimTopic(changedNames[i], maxLooks) end
  end
  if (retention.ageMs or exceeds(meta, retention.count, retention.bytes)) and trimLog(maxLooks) then more = 1 end
  trimKeys(maxLooks)
  dropOldSteps()
  saveRows(options.trimmedCount)
  if forgetClosed(maxLooks, #batches == 0) then more = 1 end
end
saveChanges(options.trimmedCount)
return { more, outcomes, trimFrom, announceRuns(endedRuns) }
`
