-- Frozen: a script of the release before runs, whose nodes test/fault/redis-runs.test.ts runs beside new ones.
local base = KEYS[1]
local META, LOG, TOPICS, NAMES = base .. ':meta', base .. ':log', base .. ':topics', base .. ':names'
local TRIMMED, EMPTIED, KEY, KEYS_BY_SEQ = base .. ':trimmed', base .. ':emptied', base .. ':key', base .. ':keys'
local ERASED_CLOSES, ERASED, CLOSED = base .. ':blank', base .. ':erased', base .. ':closed'
local NODES, WIRE = base .. ':nodes', base .. ':wire'
local LOST = redis.error_reply('LOST the log has another epoch, or lacks a key')
local REWOUND = redis.error_reply('REWOUND the log ends before entries that were delivered')
local call = redis.call

local function seqsKey(topic) return base .. ':of:' .. topic end
-- A number as text: without a fraction or an exponent, whatever its size.
local function int(n) return string.format('%.0f', n) end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The fields of :meta, read by loadMeta and written by saveMeta.
local meta
local numbers = { 'head', 'time', 'count', 'bytes', 'keys', 'emptied', 'floor', 'trims', 'erasures', 'tag', 'marked' }
local function loadMeta()
  local values = call('HMGET', META, 'epoch', 'damaged', 'steps', unpack(numbers))
  meta = { epoch = values[1], damaged = values[2], steps = {} }
  for i, name in ipairs(numbers) do meta[name] = tonumber(values[i + 3] or 0) end
  for seq, time in string.gmatch(values[3] or '', '(%d+):(%d+)') do
    meta.steps[#meta.steps + 1] = { seq = tonumber(seq), time = tonumber(time) }
  end
end
local function saveMeta()
  local values = {}
  for _, name in ipairs(numbers) do
    values[#values + 1] = name
    values[#values + 1] = int(meta[name])
  end
  call('HSET', META, unpack(values))
end

-- The rows of topics that this script has read. row.stored is the text of the row in :topics, nil if there is none.
local topicRows = {}
local function topicRow(name)
  if topicRows[name] then return topicRows[name] end
  local row = { count = 0, bytes = 0, trimmed = 0, closed = 0 }
  local text = call('HGET', TOPICS, name)
  if text then
    local count, bytes, trimmed, closed = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    row.count, row.bytes, row.trimmed, row.closed = tonumber(count), tonumber(bytes), tonumber(trimmed), tonumber(closed)
    row.stored = text
  end
  topicRows[name] = row
  return row
end
local function textOf(row)
  return int(row.count) .. ' ' .. int(row.bytes) .. ' ' .. int(row.trimmed) .. ' ' .. int(row.closed)
end
local function isEmptied(row) return row.count == 0 and row.closed == 0 end
local function isOnlyClosed(row) return row.count == 0 and row.closed > 0 end
local function newestSeq(topic) return tonumber(call('ZREVRANGE', seqsKey(topic), 0, 0)[1] or 0) end

-- An element of a stream as a table of its fields.
local function fieldsOf(element)
  local fields, flat = { id = element[1] }, element[2]
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end
-- An entry has id, seq, and the fields of :log: m (time), w (weight), t (topic), d (data), e (event), r (retry), c (close).
local function entryOf(element)
  local entry = fieldsOf(element)
  entry.seq, entry.m, entry.w = tonumber(string.match(entry.id, '^%d+')), tonumber(entry.m), tonumber(entry.w)
  return entry
end
local function erasedCloseOf(member)
  local seq, time, topic = string.match(member, '^(%d+) (%d+) (.*)$')
  return { seq = tonumber(seq), m = tonumber(time), t = topic, c = '1', w = #topic, erasedClose = member }
end
local function entryAt(seq)
  local element = call('XRANGE', LOG, int(seq), int(seq))[1]
  if element then return entryOf(element) end
  local member = call('ZRANGEBYSCORE', ERASED_CLOSES, int(seq), int(seq))[1]
  return member and erasedCloseOf(member)
end
-- Entries from one seq to another, oldest first, including closes whose entry was erased.
local function entriesBetween(from, to, limit)
  local entries = {}
  for i, element in ipairs(call('XRANGE', LOG, from, to, 'COUNT', limit)) do entries[i] = entryOf(element) end
  local last = #entries == limit and int(entries[limit].seq) or (to == '+' and '+inf' or to)
  local closes = call('ZRANGEBYSCORE', ERASED_CLOSES, from == '-' and '-inf' or from, last, 'LIMIT', 0, limit)
  if #closes == 0 then return entries end
  for _, member in ipairs(closes) do entries[#entries + 1] = erasedCloseOf(member) end
  table.sort(entries, function(a, b) return a.seq < b.seq end)
  while #entries > limit do entries[#entries] = nil end
  return entries
end
-- Whether an entry closes its topic without data: the topic's value is then the entry before it.
local function isBareClose(entry) return entry ~= nil and entry ~= false and entry.c ~= nil and entry.d == nil end
local function rowOf(entry)
  return { entry.seq, entry.m, entry.t, entry.d or false, entry.e or false, entry.r or false, entry.c or false }
end

local function effectiveTime(seq, time)
  for _, step in ipairs(meta.steps) do
    if seq < step.seq then return math.min(time, step.time) end -- of all steps after the entry, the first has the lowest time
  end
  return time
end

local function saveSteps()
  local texts = {}
  for i, step in ipairs(meta.steps) do texts[i] = int(step.seq) .. ':' .. int(step.time) end
  call('HSET', META, 'steps', table.concat(texts, ' '))
end
local function addStep(seq, time)
  local steps = meta.steps
  while #steps > 0 and steps[#steps].time >= time do table.remove(steps) end
  steps[#steps + 1] = { seq = seq, time = time }
  while #steps > 100 do table.remove(steps, 1) end
  saveSteps()
end
-- Drops the steps up to the oldest entry and the oldest idempotency key: no time that they correct is left.
local function dropOldSteps()
  if #meta.steps == 0 then return end
  local entry, key = entriesBetween('-', '+', 1)[1], call('ZRANGE', KEYS_BY_SEQ, 0, 0, 'WITHSCORES')
  local oldest = math.min(entry and entry.seq or meta.head + 1, tonumber(key[2] or meta.head + 1))
  local count = #meta.steps
  while #meta.steps > 0 and meta.steps[1].seq <= oldest do table.remove(meta.steps, 1) end
  if #meta.steps < count then saveSteps() end
end

local function isDamaged()
  local emptied, topics = call('ZCARD', EMPTIED), call('HLEN', TOPICS)
  return meta.damaged ~= false
    or call('XLEN', LOG) + call('ZCARD', ERASED_CLOSES) ~= meta.count
    or call('HLEN', KEY) ~= meta.keys
    or call('ZCARD', KEYS_BY_SEQ) ~= meta.keys
    or emptied ~= meta.emptied
    or topics ~= call('ZCARD', NAMES) + emptied
    -- Every append or trim leaves a row of its topic, and folding keeps at least one row (trimmedCount is 1 or more).
    or (topics == 0 and meta.head > meta.floor)
    or (meta.trims > 0 and call('EXISTS', TRIMMED) == 0)
    or (meta.erasures > 0 and call('EXISTS', ERASED) == 0)
end

-- Loads :meta. Returns whether the log has another epoch than the caller knows, or lacks a key.
local function isLost()
  loadMeta()
  return meta.epoch ~= ARGV[1] or isDamaged()
end

-- Whether seqs of one of these topics are missing. Records such a topic in :meta, because open does not look at all topics.
local function isAnyDamaged(topics)
  for _, name in ipairs(topics) do
    local seqs, row = call('ZCARD', seqsKey(name)), topicRow(name)
    if seqs ~= row.count then
      if row.stored then
        redis.pcall('HSET', META, 'damaged', name) -- a server out of memory refuses this command, and the next check tries again
        return true
      end
      call('DEL', seqsKey(name)) -- these seqs are left over from a repair that did not find the topic
    end
  end
  return false
end

