import { checks } from './checks.ts'
import { repair } from './repair.ts'
import { clockSteps, MAX_CLOCK_STEP_BACK } from './steps.ts'

/** A process that has said nothing for so long is not waited for, and what it has is not counted. */
export const LEASE_MS = 15_000
/** A bucket is not in debt for longer, in ms. */
const MAX_DEBT_MS = 3_600_000

/**
 * What runs inside the server, one script at a time and all or nothing (https://redis.io/docs/latest/develop/programmability/eval-intro/).
 * Each is told the epoch that its caller believes in, and refuses to work on any other: a log that was emptied or replaced answers nothing.
 * It also refuses a log of which a key is gone (`checks.ts`): the caller then runs `open`, which repairs it under a new epoch (`repair.ts`).
 *
 * Keys of a hub, all behind one hash tag, so that a cluster keeps them together:
 *
 * - `:meta` hash: version, epoch, tag, runs, head, time, count, bytes, keys, emptied, floor, trims, erasures; `steps`, marks `seq:time` of a
 *   clock that was set back; `renewed`, the text that last asked for a new epoch; `damaged`, a topic whose seqs are gone; `checks`, a counter
 *   that probes write
 * - `:log` stream: an entry `<seq>-<tag>`, with m (time), w (weight), t (topic) and of d (data), e (event), r (retry), c (close) those it has
 * - `:of:<topic>` sorted set of the topic's seqs; `:topics` hash: `count bytes trimmed closed` of each topic
 * - `:names` sorted set of topics that have entries or are closed; `:trimmed` of those trimmed, and `:emptied` of those with nothing left, by the last trimmed seq
 * - `:key` hash: `hash seq time` of each idempotency key; `:keys` sorted set of them by seq
 * - `:blank` sorted set of `seq time topic`: closes whose entry was erased
 * - `:erased` stream: what was erased of what was delivered
 * - `:nodes` sorted set of processes by when their lease ends; `:wire` stream: what they ask each other; `:rate:<bucket>` when it is full again
 *
 * Nodes of the previous release write the same log during an upgrade: they leave the fields of `:meta` alone that they do not know.
 */
const prelude = `
local base = KEYS[1]
local META, LOG, TOPICS, NAMES = base .. ':meta', base .. ':log', base .. ':topics', base .. ':names'
local TRIMMED, EMPTIED, KEY, KEYS_BY_SEQ = base .. ':trimmed', base .. ':emptied', base .. ':key', base .. ':keys'
local BLANK, ERASED = base .. ':blank', base .. ':erased'
local NODES, WIRE = base .. ':nodes', base .. ':wire'
local call = redis.call

local function of(topic) return base .. ':of:' .. topic end
local function int(n) return string.format('%.0f', n) end
local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local LOST = redis.error_reply('LOST the log has another epoch, or lacks a key')

local numbers = { 'head', 'time', 'count', 'bytes', 'keys', 'emptied', 'floor', 'trims', 'erasures', 'tag' }
local s
local function load()
  local values = call('HMGET', META, 'epoch', 'damaged', 'steps', unpack(numbers))
  s = { epoch = values[1], damaged = values[2], steps = {} }
  for i, name in ipairs(numbers) do s[name] = tonumber(values[i + 3] or 0) end
  for seq, time in string.gmatch(values[3] or '', '(%d+):(%d+)') do
    s.steps[#s.steps + 1] = { seq = tonumber(seq), time = tonumber(time) }
  end
end
local function save()
  local values = {}
  for _, name in ipairs(numbers) do
    values[#values + 1] = name
    values[#values + 1] = int(s[name])
  end
  call('HSET', META, unpack(values))
end

local rows = {}
local function topicRow(name)
  if rows[name] then return rows[name] end
  local row = { count = 0, bytes = 0, trimmed = 0, closed = 0 }
  local text = call('HGET', TOPICS, name)
  if text then
    local c, b, t, x = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    row.count, row.bytes, row.trimmed, row.closed, row.known = tonumber(c), tonumber(b), tonumber(t), tonumber(x), text
  end
  rows[name] = row
  return row
end
local function isEmptied(row) return row.count == 0 and row.closed == 0 end
local function newest(topic) return tonumber(call('ZREVRANGE', of(topic), 0, 0)[1] or 0) end

local function entryFields(found)
  local e, f = { seq = tonumber(string.match(found[1], '^%d+')), id = found[1] }, found[2]
  for i = 1, #f, 2 do e[f[i]] = f[i + 1] end
  return e
end
local function entryOf(found)
  local e = entryFields(found)
  e.m, e.w = tonumber(e.m), tonumber(e.w)
  return e
end
local function blankOf(member)
  local seq, time, topic = string.match(member, '^(%d+) (%d+) (.*)$')
  return { seq = tonumber(seq), m = tonumber(time), t = topic, c = '1', w = #topic, blank = member }
end
local function entryAt(seq)
  local found = call('XRANGE', LOG, int(seq), int(seq))[1]
  if found then return entryOf(found) end
  local member = call('ZRANGEBYSCORE', BLANK, int(seq), int(seq))[1]
  return member and blankOf(member)
end
-- Entries from one seq to another, oldest first, with the blank ones in their places.
local function range(from, to, limit)
  local entries = {}
  for i, found in ipairs(call('XRANGE', LOG, from, to, 'COUNT', limit)) do entries[i] = entryOf(found) end
  local last = #entries == limit and int(entries[limit].seq) or (to == '+' and '+inf' or to)
  local blanks = call('ZRANGEBYSCORE', BLANK, from == '-' and '-inf' or from, last, 'LIMIT', 0, limit)
  if #blanks == 0 then return entries end
  for _, member in ipairs(blanks) do entries[#entries + 1] = blankOf(member) end
  table.sort(entries, function(a, b) return a.seq < b.seq end)
  while #entries > limit do entries[#entries] = nil end
  return entries
end
local function isBare(e) return e ~= nil and e ~= false and e.c ~= nil and e.d == nil end
local function shown(e) return { e.seq, e.m, e.t, e.d or false, e.e or false, e.r or false, e.c or false } end
${clockSteps}${checks}`

/** What changes the log. */
const changing = `
local touched, order = {}, {}
local function topic(name)
  local row = touched[name]
  if row then return row end
  row = topicRow(name)
  touched[name] = row
  order[#order + 1] = name
  return row
end

local function remove(e)
  if e.blank then call('ZREM', BLANK, e.blank) else call('XDEL', LOG, e.id) end
  call('ZREM', of(e.t), int(e.seq))
  local row = topic(e.t)
  row.count, row.bytes = row.count - 1, row.bytes - e.w
  s.count, s.bytes = s.count - 1, s.bytes - e.w
end
local function drop(e)
  remove(e)
  local row = topic(e.t)
  if e.seq > row.trimmed then row.trimmed = e.seq end
  s.trims = s.trims + 1
end

local function finish(trimmedCount)
  for _, name in ipairs(order) do
    local row = touched[name]
    local text = int(row.count) .. ' ' .. int(row.bytes) .. ' ' .. int(row.trimmed) .. ' ' .. int(row.closed)
    if text ~= (row.known or '0 0 0 0') then
      local wasEmptied = row.known ~= nil and redis.call('ZSCORE', EMPTIED, name) ~= false
      call('HSET', TOPICS, name, text)
      if row.trimmed > 0 then call('ZADD', TRIMMED, int(row.trimmed), name) end
      if isEmptied(row) then
        call('ZREM', NAMES, name)
        call('ZADD', EMPTIED, int(row.trimmed), name)
        if not wasEmptied then s.emptied = s.emptied + 1 end
      else
        call('ZADD', NAMES, 0, name)
        if wasEmptied then
          call('ZREM', EMPTIED, name)
          s.emptied = s.emptied - 1
        end
      end
    end
  end
  local surplus = math.min(s.emptied - trimmedCount, 1000)
  if surplus > 0 then
    local gone = call('ZRANGE', EMPTIED, 0, surplus - 1, 'WITHSCORES')
    for i = 1, #gone, 2 do
      call('HDEL', TOPICS, gone[i])
      call('ZREM', TRIMMED, gone[i])
      call('ZREM', EMPTIED, gone[i])
      s.floor = math.max(s.floor, tonumber(gone[i + 1]))
      s.emptied = s.emptied - 1
    end
  end
  save()
end

local function tellErased(name, seq, upTo)
  s.erasures = s.erasures + 1
  call('XADD', ERASED, 'MAXLEN', '~', 1000, '*', 'n', int(s.erasures), 'u', int(upTo), 't', name, 's', seq)
end
`

/**
 * The commit: epoch, options, batches as JSON, step, head that is known, oldest seq to look at. Each batch is placed whole or refused whole; then a bounded number of what is
 * over a bound is dropped, oldest first. What is kept although it is old is passed over: the oldest seq to look at comes and goes.
 * Returns `[more, outcomes, that seq]`, an outcome a code or triples of seq, time and whether it was known.
 */
export const commit = `${prelude}${changing}
local options, batches, step = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), tonumber(ARGV[4])
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
if s.head < tonumber(ARGV[5]) then return redis.error_reply('REWOUND the log ends before what it had') end
local clock = now()
local isSetBack = s.time - clock > ${MAX_CLOCK_STEP_BACK}
local time = isSetBack and clock or math.max(s.time, clock)

local function field(m) return m.t .. '\\n' .. m.k end
local function known(m)
  local text = call('HGET', KEY, field(m))
  if not text then return nil end
  local hash, seq, at = string.match(text, '^(%S+) (%d+) (%d+)$')
  if effectiveTime(tonumber(seq), tonumber(at)) >= clock - options.keyAgeMs then return { hash = hash, seq = tonumber(seq), time = tonumber(at) } end
  call('HDEL', KEY, field(m))
  call('ZREM', KEYS_BY_SEQ, field(m))
  s.keys = s.keys - 1
  return nil
end

local function plan(batch)
  local receipts, fresh, closes, head = {}, {}, {}, s.head
  for i, m in ipairs(batch) do
    local place
    if m.k then
      place = fresh[field(m)] or known(m)
      if place and place.hash ~= m.h then return nil, 'key_conflict', i end
    end
    if place then
      receipts[i] = { place.seq, place.time, 1 }
    else
      if closes[m.t] or topic(m.t).closed > 0 then return nil, 'topic_closed', i end
      if m.c then closes[m.t] = true end
      head = head + 1
      receipts[i] = { head, time, 0 }
      if m.k then fresh[field(m)] = { hash = m.h, seq = head, time = time } end
    end
  end
  return receipts
end

local outcomes, appended, keep = {}, 0, tonumber(ARGV[6])
for b, batch in ipairs(batches) do
  local receipts, code, at = plan(batch)
  if not receipts then
    outcomes[b] = { code, at }
  else
    for i, m in ipairs(batch) do
      local seq = receipts[i][1]
      if receipts[i][3] == 0 then
        if isSetBack and appended == 0 then addStep(seq, time) end
        local fields = { 'm', int(time), 'w', int(m.w), 't', m.t }
        for _, name in ipairs({ 'd', 'e', 'r', 'c' }) do
          if m[name] then
            fields[#fields + 1] = name
            fields[#fields + 1] = m[name]
          end
        end
        call('XADD', LOG, int(seq) .. '-' .. int(s.tag), unpack(fields))
        call('ZADD', of(m.t), int(seq), int(seq))
        local row = topic(m.t)
        row.count, row.bytes = row.count + 1, row.bytes + m.w
        if m.c then row.closed = seq end
        if string.sub(m.t, 1, 1) == '$' then keep = 0 end -- what was the state of the hub may be history now
        s.head, s.time, s.count, s.bytes = seq, time, s.count + 1, s.bytes + m.w
        appended = appended + 1
        if m.k then
          call('HSET', KEY, field(m), m.h .. ' ' .. int(seq) .. ' ' .. int(time))
          call('ZADD', KEYS_BY_SEQ, int(seq), field(m))
          s.keys = s.keys + 1
        end
      end
    end
    outcomes[b] = receipts
  end
end

local more = 0
if appended > 0 or #batches == 0 then
  local looks = 2 * appended + step
  local r = options.retention
  local function isOver(of, count, bytes) return (count and of.count > count) or (bytes and of.bytes > bytes) end
  local function isState(e)
    if string.sub(e.t, 1, 1) ~= '$' then return false end
    local last = newest(e.t)
    return last == e.seq or last == 0 -- 0: its seqs are gone, which is noticed when it is next looked at
  end
  if r.topicCount or r.topicBytes then
    for i = 1, #order do
      local name = order[i]
      local row = topic(name)
      if isOver(row, r.topicCount, r.topicBytes) then
        local left, after = looks, '-inf'
        while left > 0 and isOver(row, r.topicCount, r.topicBytes) do
          local seqs = call('ZRANGEBYSCORE', of(name), after, '+inf', 'LIMIT', 0, math.min(left, 20))
          for _, seq in ipairs(seqs) do
            if not isOver(row, r.topicCount, r.topicBytes) then break end
            local e = entryAt(tonumber(seq))
            if not isState(e) then drop(e) end
          end
          if #seqs < math.min(left, 20) then break end
          left, after = left - #seqs, '(' .. seqs[#seqs]
        end
      end
    end
  end
  if r.ageMs or isOver(s, r.count, r.bytes) then
    local oldest = r.ageMs and clock - r.ageMs
    local left, from = looks, int(keep)
    while left > 0 do
      local size = math.min(left, 100)
      local entries = range(from, '+', size)
      local isDone = false
      for _, e in ipairs(entries) do
        isDone = not (oldest and effective(e) < oldest) and not isOver(s, r.count, r.bytes)
        if isDone then break end
        if not isState(e) then drop(e) end
        keep = e.seq + 1
        from = int(keep)
      end
      if isDone or #entries < size then break end
      left = left - size
      if left <= 0 then more = 1 end
    end
  end
  if s.keys > 0 then
    for _, name in ipairs(call('ZRANGE', KEYS_BY_SEQ, 0, looks - 1)) do
      local seq, at = string.match(call('HGET', KEY, name), ' (%d+) (%d+)$')
      if effectiveTime(tonumber(seq), tonumber(at)) >= clock - options.keyAgeMs and s.keys <= options.keyCount then break end
      call('HDEL', KEY, name)
      call('ZREM', KEYS_BY_SEQ, name)
      s.keys = s.keys - 1
    end
  end
  dropSteps()
end
finish(options.trimmedCount)
return { more, outcomes, keep }
`

/** Erases one entry: epoch, topic, seq. Of one that closes its topic the close stays. Returns how many erasures there were, or 0. */
export const eraseOne = `${prelude}${changing}
local name, seq = ARGV[2], tonumber(ARGV[3])
if isLost() or isAnyDamaged({ name }) then return LOST end
local e = entryAt(seq)
if not e or e.t ~= name then return 0 end
remove(e)
local row = topic(name)
if row.closed == seq then
  call('ZADD', BLANK, int(seq), int(seq) .. ' ' .. int(e.m) .. ' ' .. name)
  call('ZADD', of(name), int(seq), int(seq))
  row.count, row.bytes = row.count + 1, row.bytes + #name
  s.count, s.bytes = s.count + 1, s.bytes + #name
end
tellErased(name, int(seq), seq)
finish(math.huge)
return s.erasures
`

/** Forgets what a topic has up to a seq, so much of it in one step: epoch, topic, seq, step, trimmedCount. Returns `[how many, more, erasures]`. */
export const forget = `${prelude}${changing}
local name, upTo, step = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if isLost() or isAnyDamaged({ name }) then return LOST end
local seqs = call('ZRANGEBYSCORE', of(name), '-inf', int(upTo), 'LIMIT', 0, step)
for _, seq in ipairs(seqs) do drop(entryAt(tonumber(seq))) end
local more = #seqs == step and 1 or 0
if more == 0 then
  local row = topic(name)
  if row.closed <= upTo then row.closed = 0 end
  tellErased(name, '', upTo)
end
finish(tonumber(ARGV[5]))
return { #seqs, more, s.erasures }
`

/** The last trimmed seq of named topics, and what says how a topic stands. */
const losses = `
local function trimmedOf(names)
  local to = 0
  for _, name in ipairs(names) do to = math.max(to, topicRow(name).trimmed) end
  return to
end
local function standing(name)
  local seq = newest(name)
  if seq == 0 then return {} end
  if topicRow(name).closed ~= seq or not isBare(entryAt(seq)) then return { seq } end
  local before = call('ZREVRANGEBYSCORE', of(name), '(' .. int(seq), '-inf', 'LIMIT', 0, 1)[1]
  return before and { tonumber(before), seq } or { seq }
end
`

/**
 * Reads named topics: epoch, after, count, bytes, latest, names as JSON.
 * Returns `[head, floor, scannedTo, conflated, entries, trimmed to]`.
 */
export const read = `${prelude}${losses}
local after, count, bytes, latest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local names = cjson.decode(ARGV[6])
if isLost() or isAnyDamaged(names) then return LOST end
local wanted, passed, complete = {}, 0, s.head
local page = math.min(count + 1, math.max(8, math.ceil(2 * count / #names)))
for _, name in ipairs(names) do
  if not latest then
    local seqs = call('ZRANGEBYSCORE', of(name), '(' .. int(after), '+inf', 'LIMIT', 0, page)
    for _, seq in ipairs(seqs) do wanted[#wanted + 1] = tonumber(seq) end
    -- Beyond the last one there may be more of this topic.
    if #seqs == page then complete = math.min(complete, tonumber(seqs[page])) end
  else
    local first
    for _, seq in ipairs(standing(name)) do
      if seq > after then
        wanted[#wanted + 1] = seq
        first = first or seq
      end
    end
    local before = first and call('ZREVRANGEBYSCORE', of(name), '(' .. int(first), '(' .. int(after), 'LIMIT', 0, 1)[1]
    if before then passed = math.max(passed, tonumber(before)) end
  end
end
table.sort(wanted)
local entries, weight, scannedTo = {}, 0, complete
for _, seq in ipairs(wanted) do
  if seq > complete then break end
  local e = #entries < count and entryAt(seq)
  if e then weight = weight + e.w end
  if not e or (#entries > 0 and weight > bytes) then
    scannedTo = seq - 1
    break
  end
  entries[#entries + 1] = shown(e)
end
return { s.head, s.floor, scannedTo, passed <= scannedTo and passed or 0, entries, trimmedOf(names) }
`

/**
 * Reads by seq, whatever the topic: epoch, after, most rows, most bytes of them, names as JSON.
 * Returns `[head, floor, scannedTo, rows, trimmed to, how many topics were trimmed after, trims]`.
 */
export const scan = `${prelude}${losses}
local after, left, bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local names = cjson.decode(ARGV[5])
if isLost() or isAnyDamaged(names) then return LOST end
local looked, scannedTo, from = {}, s.head, after + 1
while left > 0 do
  local size = math.min(left, 50)
  local entries = range(int(from), '+', size)
  for _, e in ipairs(entries) do
    looked[#looked + 1] = shown(e)
    bytes = bytes - e.w
    from = e.seq + 1
  end
  if #entries < size then break end
  left = left - size
  if bytes <= 0 then left = 0 end
  if left <= 0 then scannedTo = from - 1 end
end
return { s.head, s.floor, scannedTo, looked, trimmedOf(names), call('ZCOUNT', TRIMMED, '(' .. int(after), '+inf'), s.trims }
`

/** Of topics as JSON, the seqs that say how each stands: epoch, names. */
export const standings = `${prelude}${losses}
local names, all = cjson.decode(ARGV[2]), {}
if isLost() or isAnyDamaged(names) then return LOST end
for i, name in ipairs(names) do all[i] = standing(name) end
return all
`

/** Topics trimmed after a seq, the last trimmed first: epoch, after, before (or +inf), limit. Returns `[trims, floor, names and seqs]`. */
export const trimmedAfter = `${prelude}
if isLost() then return LOST end
local found = call('ZREVRANGEBYSCORE', TRIMMED, ARGV[3], '(' .. ARGV[2], 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[4]))
return { s.trims, s.floor, found }
`

/**
 * Rows before a seq, newest first: epoch, before, limit, names as JSON (none: of all topics).
 * Returns `[rows, before]`: seq, topic and whether it is a bare close of each, and where to go on; 0 if there is nothing more.
 */
export const before = `${prelude}
local from, limit, names, looked = ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4]), {}
if isLost() or isAnyDamaged(names) then return LOST end
local to = 0
if #names == 0 then
  local bytes = 1048576
  from = int(tonumber(from) - 1)
  while limit > 0 and bytes > 0 do
    local size = math.min(limit, 50)
    local found = call('XREVRANGE', LOG, from, '-', 'COUNT', size)
    for _, one in ipairs(found) do
      local e = entryOf(one)
      looked[#looked + 1] = { e.seq, e.t, isBare(e) and 1 or 0 }
      bytes = bytes - e.w
    end
    if #found < size then return { looked, 0 } end
    limit, to = limit - size, looked[#looked][1]
    from = int(to - 1)
  end
  return { looked, to }
end
local page = math.max(8, math.ceil(2 * limit / #names))
for _, name in ipairs(names) do
  local seqs = call('ZREVRANGEBYSCORE', of(name), '(' .. from, '-inf', 'LIMIT', 0, page)
  for _, seq in ipairs(seqs) do looked[#looked + 1] = { tonumber(seq), name, 0 } end
  if #seqs == page then to = math.max(to, tonumber(seqs[page])) end
end
table.sort(looked, function(a, b) return a[1] > b[1] end)
while #looked > 0 and looked[#looked][1] < to do looked[#looked] = nil end
local closed = {}
for _, name in ipairs(names) do closed[name] = topicRow(name).closed end
for _, row in ipairs(looked) do
  if row[1] == closed[row[2]] and isBare(entryAt(row[1])) then row[3] = 1 end
end
return { looked, to }
`

/** The last kept seq older than a time, by halving: epoch, since. */
export const since = `${prelude}
if isLost() then return LOST end
local at, low, high = tonumber(ARGV[2]), 0, s.head
while low < high do
  local middle = math.floor((low + high) / 2)
  local e = range(int(middle + 1), '+', 1)[1]
  if not e or e.seq > high or effective(e) >= at then high = middle else low = e.seq end
end
return low
`

/** What is known of topics: epoch, names as JSON; or none, then prefix, after, limit. Returns topic, newest or last trimmed, count, closed. */
export const topics = `${prelude}
if isLost() then return LOST end
local names = cjson.decode(ARGV[2])
if ARGV[3] then
  local prefix, after = ARGV[3], ARGV[4]
  local from = after >= prefix and '(' .. after or '[' .. prefix
  local to = prefix == '' and '+' or '(' .. prefix .. '\\255'
  names = call('ZRANGEBYLEX', NAMES, from, to, 'LIMIT', 0, tonumber(ARGV[5]))
end
if isAnyDamaged(names) then return LOST end
local found = {}
for i, name in ipairs(names) do
  local row = topicRow(name)
  found[i] = { name, math.max(newest(name), row.trimmed, row.closed), row.count, row.closed }
end
return found
`

/**
 * Opens the log, or looks at it again: the epoch and the server's run that the caller knows, or '', and the head; a fresh epoch and tag;
 * the run that there is, and whether what it holds survives one; the text that asks for a new epoch, or ''. A run is remembered with the
 * head that it began with: whoever knows of more has seen what is lost. A text counts when a process starts, not when it looks again, so
 * that two processes with different texts do not take turns. Returns `[epoch, tag, head, id of the last erasure, erasures, id of the last
 * question]`.
 */
export const open = `${prelude}${repair}
local known, lastRun, told = ARGV[1], ARGV[2], tonumber(ARGV[3])
local epoch, tag, run, isDurable, renewal = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8]
local version, runs, renewed = unpack(call('HMGET', META, 'version', 'runs', 'renewed'))
if version and version ~= '1' then return redis.error_reply('VERSION ' .. version) end
load()
local current = s.epoch
runs = runs or ''
local isSame = string.match(runs, '(%S+):%d+$') == run
if current and not isSame and isDurable then
  -- The newest of them: whoever comes back after more has missed too much to be sure.
  local kept = {}
  for one in string.gmatch(runs, '%S+') do kept[#kept + 1] = one end
  while #kept > 19 do table.remove(kept, 1) end
  kept[#kept + 1] = run .. ':' .. int(s.head)
  runs = table.concat(kept, ' ')
  call('HSET', META, 'runs', runs)
end
local isRewound = s.head < told
if current and current == known and lastRun ~= run then
  local since = string.match(' ' .. runs, ' ' .. lastRun .. ':%d+(.*)$')
  if not since then isRewound = true end
  for began in string.gmatch(since or '', ':(%d+)') do isRewound = isRewound or tonumber(began) < told end
end
local isRenewed = renewal ~= '' and renewal ~= renewed and (not current or known == '')
local isBroken = not current or isDamaged()
if isBroken then repair() end
if isBroken or isRenewed or (not isSame and not isDurable) or (current == known and isRewound) then
  call('HSET', META, 'version', '1', 'epoch', epoch, 'tag', tag, 'runs', run .. ':' .. int(s.head), 'head', int(s.head))
  current, s.tag = epoch, tonumber(tag)
end
if isRenewed then call('HSET', META, 'renewed', renewal) end
local function lastOf(stream)
  local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end
return { current, s.tag, s.head, lastOf(ERASED), s.erasures, lastOf(WIRE) }
`

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

/**
 * Whether an append would work: epoch, head, and the topic after which it looks whether topics are whole, some at a time. It writes, because
 * only that tells. Returns the topic to go on after, or '' when it has looked at the last one.
 */
export const probe = `${prelude}
if isLost() then return LOST end
if s.head < tonumber(ARGV[2]) then return redis.error_reply('REWOUND the log ends before what it had') end
local names = call('ZRANGEBYLEX', NAMES, ARGV[3] == '' and '-' or '(' .. ARGV[3], '+', 'LIMIT', 0, 100)
if isAnyDamaged(names) then return LOST end
call('HINCRBY', META, 'checks', 1)
return names[100] or ''
`
