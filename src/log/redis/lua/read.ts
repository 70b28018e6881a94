import { prelude } from './prelude.ts'

/** The last trimmed seq of named topics, and what says how a topic stands. */
export const trimming = `
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
export const read = `${prelude}${trimming}
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
export const scan = `${prelude}${trimming}
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
export const standings = `${prelude}${trimming}
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
