import { prelude } from './prelude.ts'
import { MAX_CLOCK_STEP_BACK } from './steps.ts'

/** What changes the log. */
export const changing = `
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
finish(tonumber(ARGV[4]))
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
