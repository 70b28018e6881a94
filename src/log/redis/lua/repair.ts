/**
 * Lua that makes a damaged log consistent again, for a new epoch. Entries, closes, last trimmed seqs and keys stay that are still there;
 * what is derived from them is derived again. Below the head nothing exact can be said any more, so the head is the floor.
 *
 * It is one script, during which the server answers nobody. It looks at all topics (0.1 s for 10,000), and at all entries only if seqs of a
 * topic are gone (4 s for 1,000,000) or rows of topics (10 s). A client that times out meanwhile asks again, and finds it done.
 */
export const repair = `
local function repair()
  local found, head = {}, s.head
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
  local function trimmedTo(name, seq)
    local topic = topicOf(name)
    topic.trimmed = math.max(topic.trimmed, tonumber(seq))
  end

  s.count, s.bytes = 0, 0
  each('HSCAN', TOPICS, function(name, text)
    local topic, count, bytes, trimmed, closed = topicOf(name), string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    topic.count, topic.bytes, topic.closed = tonumber(count), tonumber(bytes), tonumber(closed)
    trimmedTo(name, trimmed)
    s.count, s.bytes = s.count + topic.count, s.bytes + topic.bytes
  end)
  each('ZSCAN', TRIMMED, trimmedTo)
  each('ZSCAN', EMPTIED, trimmedTo)
  each('ZSCAN', NAMES, topicOf)

  -- Where rows count as many entries as there are, topics are right whose seqs are as many as their row says.
  local isRight, isScanned = call('XLEN', LOG) + call('ZCARD', BLANK) == s.count, false
  local function restart(name, topic)
    s.count, s.bytes = s.count - topic.count, s.bytes - topic.bytes
    topic.before, topic.count, topic.bytes = newest(name), 0, 0
    call('DEL', of(name))
    isScanned = true
  end
  for name, topic in pairs(found) do
    if not isRight or call('ZCARD', of(name)) ~= topic.count then restart(name, topic) end
  end
  local function restore(seq, name, weight, isClose)
    local topic = topicOf(name)
    if not topic.before then
      if isRight then return end
      restart(name, topic)
    end
    call('ZADD', of(name), int(seq), int(seq))
    topic.count, topic.bytes, topic.newest = topic.count + 1, topic.bytes + weight, math.max(topic.newest, seq)
    if isClose then topic.closed, topic.closing = seq, seq end
    s.count, s.bytes = s.count + 1, s.bytes + weight
  end
  if isScanned or not isRight then
    local from = '-'
    repeat
      local page = call('XRANGE', LOG, from, '+', 'COUNT', 100)
      for _, one in ipairs(page) do
        local e = entryOf(one)
        restore(e.seq, e.t, e.w, e.c)
        from = '(' .. e.id
      end
    until #page < 100
    for _, member in ipairs(call('ZRANGE', BLANK, 0, -1)) do
      local e = blankOf(member)
      restore(e.seq, e.t, e.w, true)
    end
  end

  for _, key in ipairs({ TOPICS, NAMES, TRIMMED, EMPTIED }) do call('DEL', key) end
  s.emptied = 0
  for name, topic in pairs(found) do
    if topic.before then
      trimmedTo(name, topic.before > topic.newest and topic.before or 0)
      -- The entry that closed it is gone, of which readers are told by this.
      if topic.closed > topic.closing then trimmedTo(name, topic.closed) end
      head = math.max(head, topic.newest)
    end
    if topic.count > 0 or topic.closed > 0 or topic.trimmed > 0 then
      call('HSET', TOPICS, name, int(topic.count) .. ' ' .. int(topic.bytes) .. ' ' .. int(topic.trimmed) .. ' ' .. int(topic.closed))
      if topic.trimmed > 0 then call('ZADD', TRIMMED, int(topic.trimmed), name) end
      if isEmptied(topic) then
        call('ZADD', EMPTIED, int(topic.trimmed), name)
        s.emptied = s.emptied + 1
      else
        call('ZADD', NAMES, 0, name)
      end
    end
    head = math.max(head, topic.trimmed)
  end
  rows = {}
  if call('EXISTS', TRIMMED) == 0 then s.trims = 0 end

  -- Without its record a key tells nothing; its place in the order of keys is told by the record.
  if call('HLEN', KEY) ~= call('ZCARD', KEYS_BY_SEQ) then
    call('DEL', KEYS_BY_SEQ)
    each('HSCAN', KEY, function(name, text)
      call('ZADD', KEYS_BY_SEQ, string.match(text, '^%S+ (%d+) %d+$'), name)
    end)
  end
  s.keys = call('HLEN', KEY)
  head = math.max(head, tonumber(call('ZREVRANGE', KEYS_BY_SEQ, 0, 0, 'WITHSCORES')[2] or 0))

  local last = call('XREVRANGE', ERASED, '+', '-', 'COUNT', 1)[1]
  s.erasures = last and math.max(s.erasures, tonumber(entryFields(last).n)) or 0
  -- The stream takes no id that is not above all that it ever had.
  if call('EXISTS', LOG) == 1 then
    local info = call('XINFO', 'STREAM', LOG)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then head = math.max(head, tonumber(string.match(info[i + 1], '^%d+'))) end
    end
  end
  s.head, s.floor = head, head
  -- The marks of clocks that were set back went with :meta; of what is there this one says that it is not from the future.
  if not s.epoch and s.count + s.keys > 0 then
    s.time = now()
    addStep(head + 1, s.time)
  end
  call('HDEL', META, 'damaged')
  save()
end
`
