-- Frozen: a script of the release before runs, whose nodes test/fault/redis-runs.test.ts runs beside new ones.
-- The names of the topics whose rows may have changed, in the order of their first change.
local changedNames, isChanged = {}, {}
local function changedRow(name)
  if not isChanged[name] then
    isChanged[name] = true
    changedNames[#changedNames + 1] = name
  end
  return topicRow(name)
end

local function remove(entry)
  if entry.erasedClose then call('ZREM', ERASED_CLOSES, entry.erasedClose) else call('XDEL', LOG, entry.id) end
  call('ZREM', seqsKey(entry.t), int(entry.seq))
  local row = changedRow(entry.t)
  row.count, row.bytes = row.count - 1, row.bytes - entry.w
  meta.count, meta.bytes = meta.count - 1, meta.bytes - entry.w
end
-- Removes an entry, and records its seq as the last trimmed seq of its topic.
local function trim(entry)
  remove(entry)
  local row = changedRow(entry.t)
  row.trimmed = math.max(row.trimmed, entry.seq)
  meta.trims = meta.trims + 1
end

local function saveRow(name, row)
  local text = textOf(row)
  if text == (row.stored or '0 0 0 0') then return end
  if isOnlyClosed(row) then
    call('ZADD', CLOSED, int(row.closed), name)
  elseif row.stored and string.match(row.stored, '^0 %d+ %d+ [1-9]') then
    call('ZREM', CLOSED, name)
  end
  local wasEmptied = row.stored ~= nil and call('ZSCORE', EMPTIED, name) ~= false
  call('HSET', TOPICS, name, text)
  if row.trimmed > 0 then call('ZADD', TRIMMED, int(row.trimmed), name) end
  if isEmptied(row) then
    call('ZREM', NAMES, name)
    call('ZADD', EMPTIED, int(row.trimmed), name)
    if not wasEmptied then meta.emptied = meta.emptied + 1 end
  else
    call('ZADD', NAMES, 0, name)
    if wasEmptied then
      call('ZREM', EMPTIED, name)
      meta.emptied = meta.emptied - 1
    end
  end
end
-- Forgets the surplus of emptied topics, those with the lowest last trimmed seqs first, and raises the floor to these seqs.
local function foldEmptied(trimmedCount)
  local surplus = math.min(meta.emptied - trimmedCount, 1000)
  if surplus <= 0 then return end
  local folded = call('ZRANGE', EMPTIED, 0, surplus - 1, 'WITHSCORES')
  for i = 1, #folded, 2 do
    call('HDEL', TOPICS, folded[i])
    call('ZREM', TRIMMED, folded[i])
    call('ZREM', EMPTIED, folded[i])
    meta.floor = math.max(meta.floor, tonumber(folded[i + 1]))
    meta.emptied = meta.emptied - 1
  end
end
local function saveRows(trimmedCount)
  for _, name in ipairs(changedNames) do saveRow(name, topicRow(name)) end
  changedNames, isChanged = {}, {}
  foldEmptied(trimmedCount)
end
local function saveChanges(trimmedCount)
  saveRows(trimmedCount)
  saveMeta()
end

local function announceErasure(name, seq, upTo)
  meta.erasures = meta.erasures + 1
  call('XADD', ERASED, 'MAXLEN', '~', 1000, '*', 'n', int(meta.erasures), 'u', int(upTo), 't', name, 's', seq)
end

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

local clock = now()
local isSetBack = meta.time - clock > 10000
local time = isSetBack and clock or math.max(meta.time, clock)
local appended = 0

local function keyField(m) return m.t .. '\n' .. m.k end
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

-- Returns a receipt for each message of a batch; or nil, a code and the number of the message that is refused.
local function receiptsFor(batch)
  local receipts, newKeys, closes, head = {}, {}, {}, meta.head
  for i, m in ipairs(batch) do
    local first = m.k and (newKeys[keyField(m)] or knownMessage(keyField(m)))
    if first then
      if first.hash ~= m.h then return nil, 'key_conflict', i end
      receipts[i] = { first.seq, first.time, 1 }
    else
      if closes[m.t] or changedRow(m.t).closed > 0 then return nil, 'topic_closed', i end
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
  for _, name in ipairs({ 'd', 'e', 'r', 'c' }) do
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
  if isInternal(m.t) then trimFrom = 0 end -- the topic's entry before this one may be trimmed now
  meta.head, meta.time, meta.count, meta.bytes = seq, time, meta.count + 1, meta.bytes + m.w
  appended = appended + 1
  if m.k then
    call('HSET', KEY, keyField(m), m.h .. ' ' .. int(seq) .. ' ' .. int(time))
    call('ZADD', KEYS_BY_SEQ, int(seq), keyField(m))
    meta.keys = meta.keys + 1
  end
end

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
  local isMarkDue = meta.marked == 0 or clock < meta.marked or clock - meta.marked >= options.closedAgeMs / 100
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
      meta.floor = math.max(meta.floor, closed, row.trimmed)
    end
    call('ZREM', CLOSED, name)
    kept, gone = kept - 1, gone + 1
  end
  return gone == limit
end

local outcomes = {}
for b, batch in ipairs(batches) do
  local receipts, code, number = receiptsFor(batch)
  outcomes[b] = receipts or { code, number }
  if receipts then
    for i, m in ipairs(batch) do
      local seq, _, isDuplicate = unpack(receipts[i])
      if isDuplicate == 0 then append(m, seq) end
    end
  end
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
return { more, outcomes, trimFrom }
