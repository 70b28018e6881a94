-- Frozen: a script of the release before runs, whose nodes test/fault/redis-runs.test.ts runs beside new ones.
local function repair()
  -- found: the new row of each topic. Of a topic that is counted again, newest and closing are the seqs of the newest entry and the last
  -- close that are left, and before is the newest seq before the repair.
  local found, head = {}, meta.head
  local function topicOf(name)
    found[name] = found[name] or { count = 0, bytes = 0, trimmed = 0, closed = 0, newest = 0, closing = 0 }
    return found[name]
  end
  local function each(command, key, visit)
    local cursor = '0'
    repeat
      local page = call(command, key, cursor, 'COUNT', 1000)
      cursor = page[1]
      for i = 1, #page[2], 2 do visit(page[2][i], page[2][i + 1]) end
    until cursor == '0'
  end
  local function raiseTrimmed(name, seq)
    local topic = topicOf(name)
    topic.trimmed = math.max(topic.trimmed, tonumber(seq))
  end

  meta.count, meta.bytes = 0, 0
  each('HSCAN', TOPICS, function(name, text)
    local topic, count, bytes, trimmed, closed = topicOf(name), string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    topic.count, topic.bytes, topic.closed = tonumber(count), tonumber(bytes), tonumber(closed)
    raiseTrimmed(name, trimmed)
    meta.count, meta.bytes = meta.count + topic.count, meta.bytes + topic.bytes
  end)
  each('ZSCAN', TRIMMED, raiseTrimmed)
  each('ZSCAN', EMPTIED, raiseTrimmed)
  each('ZSCAN', NAMES, topicOf)

  -- If the rows count all entries of the log, only those topics are counted again whose number of seqs differs from their row.
  local areRowsRight, mustScan = call('XLEN', LOG) + call('ZCARD', ERASED_CLOSES) == meta.count, false
  local function countAgain(name, topic)
    meta.count, meta.bytes = meta.count - topic.count, meta.bytes - topic.bytes
    topic.before, topic.count, topic.bytes = newestSeq(name), 0, 0
    call('DEL', seqsKey(name))
    mustScan = true
  end
  for name, topic in pairs(found) do
    if not areRowsRight or call('ZCARD', seqsKey(name)) ~= topic.count then countAgain(name, topic) end
  end
  local function countEntry(seq, name, weight, isClose)
    local topic = topicOf(name)
    if not topic.before then
      if areRowsRight then return end
      countAgain(name, topic)
    end
    call('ZADD', seqsKey(name), int(seq), int(seq))
    topic.count, topic.bytes, topic.newest = topic.count + 1, topic.bytes + weight, math.max(topic.newest, seq)
    if isClose then topic.closed, topic.closing = seq, seq end
    meta.count, meta.bytes = meta.count + 1, meta.bytes + weight
  end
  if mustScan or not areRowsRight then
    local from = '-'
    repeat
      local page = call('XRANGE', LOG, from, '+', 'COUNT', 100)
      for _, element in ipairs(page) do
        local entry = entryOf(element)
        countEntry(entry.seq, entry.t, entry.w, entry.c)
        from = '(' .. entry.id
      end
    until #page < 100
    for _, member in ipairs(call('ZRANGE', ERASED_CLOSES, 0, -1)) do
      local close = erasedCloseOf(member)
      countEntry(close.seq, close.t, close.w, true)
    end
  end

  for _, key in ipairs({ TOPICS, NAMES, TRIMMED, EMPTIED, CLOSED }) do call('DEL', key) end
  meta.emptied = 0
  for name, topic in pairs(found) do
    if topic.before then
      if topic.before > topic.newest then raiseTrimmed(name, topic.before) end
      -- The entry that closed the topic is missing.
      if topic.closed > topic.closing then raiseTrimmed(name, topic.closed) end
      head = math.max(head, topic.newest)
    end
    if topic.count > 0 or topic.closed > 0 or topic.trimmed > 0 then
      call('HSET', TOPICS, name, textOf(topic))
      if topic.trimmed > 0 then call('ZADD', TRIMMED, int(topic.trimmed), name) end
      if isOnlyClosed(topic) then call('ZADD', CLOSED, int(topic.closed), name) end
      if isEmptied(topic) then
        call('ZADD', EMPTIED, int(topic.trimmed), name)
        meta.emptied = meta.emptied + 1
      else
        call('ZADD', NAMES, 0, name)
      end
    end
    head = math.max(head, topic.trimmed)
  end
  topicRows = {}
  if call('EXISTS', TRIMMED) == 0 then meta.trims = 0 end

  -- An idempotency key without its record is dropped; a record whose key is missing in the order by seq holds the seq to add it.
  if call('HLEN', KEY) ~= call('ZCARD', KEYS_BY_SEQ) then
    call('DEL', KEYS_BY_SEQ)
    each('HSCAN', KEY, function(field, text)
      call('ZADD', KEYS_BY_SEQ, string.match(text, '^%S+ (%d+) %d+$'), field)
    end)
  end
  meta.keys = call('HLEN', KEY)
  head = math.max(head, tonumber(call('ZREVRANGE', KEYS_BY_SEQ, 0, 0, 'WITHSCORES')[2] or 0))

  local last = call('XREVRANGE', ERASED, '+', '-', 'COUNT', 1)[1]
  meta.erasures = last and math.max(meta.erasures, tonumber(fieldsOf(last).n)) or 0
  -- A stream accepts only ids that are greater than all ids that it ever had.
  if call('EXISTS', LOG) == 1 then
    local info = call('XINFO', 'STREAM', LOG)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then head = math.max(head, tonumber(string.match(info[i + 1], '^%d+'))) end
    end
  end
  meta.head, meta.floor = head, head
  -- The clock steps were lost with :meta. This new step says that no entry or key that is left is from the future.
  if not meta.epoch and meta.count + meta.keys > 0 then
    meta.time = now()
    addStep(head + 1, meta.time)
  end
  call('HDEL', META, 'damaged')
  saveMeta()
end

local knownEpoch, knownRun, deliveredTo = ARGV[1], ARGV[2], tonumber(ARGV[3])
local freshEpoch, freshTag, run, isSynced, newEpochText = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8]
local version, runs, renewed = unpack(call('HMGET', META, 'version', 'runs', 'renewed'))
if version and version ~= '1' then return redis.error_reply('VERSION ' .. version) end
loadMeta()
local epoch, isKnown = meta.epoch, meta.epoch == knownEpoch
runs = runs or ''
local isSameRun = string.match(runs, '(%S+):%d+$') == run

if epoch and not isSameRun and isSynced then
  local kept = {}
  for one in string.gmatch(runs, '%S+') do kept[#kept + 1] = one end
  while #kept >= 20 do table.remove(kept, 1) end
  kept[#kept + 1] = run .. ':' .. int(meta.head)
  runs = table.concat(kept, ' ')
  call('HSET', META, 'runs', runs)
end

-- Whether the log has lost entries that were delivered to the caller. Only for a log of the epoch that the caller knows.
local function isRewound()
  if meta.head < deliveredTo then return true end
  if knownRun == run then return false end
  local later = string.match(' ' .. runs, ' ' .. knownRun .. ':%d+(.*)$')
  if not later then return true end
  for firstHead in string.gmatch(later, ':(%d+)') do
    if tonumber(firstHead) < deliveredTo then return true end
  end
  return false
end

local isRenewed = newEpochText ~= '' and newEpochText ~= renewed and (not epoch or knownEpoch == '')
local isBroken = not epoch or isDamaged()
local mayHaveLost = not isSameRun and not isSynced
local isLostToCaller = isKnown and isRewound()
if isBroken then repair() end
if isBroken or isRenewed or mayHaveLost or isLostToCaller then
  local first = run .. ':' .. int(meta.head)
  call('HSET', META, 'version', '1', 'epoch', freshEpoch, 'tag', freshTag, 'runs', first, 'head', int(meta.head))
  epoch, meta.tag = freshEpoch, tonumber(freshTag)
end
if isRenewed then call('HSET', META, 'renewed', newEpochText) end

local function lastId(stream)
  local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end
return { epoch, meta.tag, meta.head, lastId(ERASED), meta.erasures, lastId(WIRE) }
