/**
 * Lua that notices if a key of the log is missing, because Redis evicted it or somebody deleted it. The scripts compare the sizes of keys
 * with the counts that commits keep in `:meta` and in the topics' rows. The cost does not grow with the log: 7 of the 160 µs of a commit,
 * and less than 1 µs for each named topic.
 *
 * Only counts that the previous release keeps too are compared, because during an upgrade its nodes write the same log; and those of runs,
 * which it does not touch.
 */
export const damage = `
local function isDamaged()
  local emptied, topics = call('ZCARD', EMPTIED), call('HLEN', TOPICS)
  return meta.damaged ~= false
    or call('XLEN', LOG) + call('ZCARD', ERASED_CLOSES) ~= meta.count
    or call('HLEN', KEY) ~= meta.keys
    or call('ZCARD', KEYS_BY_SEQ) ~= meta.keys
    or emptied ~= meta.emptied
    or topics ~= call('ZCARD', NAMES) + emptied
    -- A hub without runs has nothing to lose here.
    or (meta.claimed > 0
      and (call('HLEN', RUNS) ~= meta.claimed or call('ZCARD', CLAIMED) ~= meta.claimed or call('ZCARD', DUE) ~= meta.active))
    or (meta.stops > 0 and call('ZCARD', STOPS) ~= meta.stops)
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
`
