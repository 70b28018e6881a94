/** Most rows of emptied topics that one script folds into the floor. */
const MAX_FOLDED = 1000
/** About how many erasures `:erased` holds. A node that has missed more calls `restarted`. */
const ERASED_LENGTH = 1000

/**
 * Lua for the scripts that add or remove entries. These scripts change the rows of topics and the fields of `:meta` in memory; at the end
 * `saveChanges` writes the rows and fields.
 */
export const changes = `
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
  local surplus = math.min(meta.emptied - trimmedCount, ${MAX_FOLDED})
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
  call('XADD', ERASED, 'MAXLEN', '~', ${ERASED_LENGTH}, '*', 'n', int(meta.erasures), 'u', int(upTo), 't', name, 's', seq)
end
`
