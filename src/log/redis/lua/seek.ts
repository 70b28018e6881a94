import { prelude } from './prelude.ts'

/** Approximate limit of the bytes of entries that one call of `before` reads if it names no topics. */
const MAX_BYTES = 1024 ** 2

/**
 * `before epoch seq limit names`
 *
 * Lists rows before a seq, newest first. `limit` is a hint: there may be more rows for named topics, and fewer because of `MAX_BYTES`.
 *
 * - `names`: the topics, as JSON; an empty list for all topics
 *
 * Reply: `[rows, next]`. A row is `[seq, topic, is-bare-close]`, with 1 at the end for an entry that closes its topic without data. `next`
 * is the `seq` of the next call, 0 if there are no more rows. Error: `LOST`.
 */
export const before = `${prelude}
local seq, limit, names = ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4])
if isLost() or isAnyDamaged(names) then return LOST end

local function beforeOfAll()
  local rows, nextSeq, bytesLeft, left = {}, tonumber(seq), ${MAX_BYTES}, limit
  while left > 0 and bytesLeft > 0 do
    local size = math.min(left, 50)
    local elements = call('XREVRANGE', LOG, int(nextSeq - 1), '-', 'COUNT', size)
    for _, element in ipairs(elements) do
      local entry = entryOf(element)
      rows[#rows + 1] = { entry.seq, entry.t, isBareClose(entry) and 1 or 0 }
      bytesLeft = bytesLeft - entry.w
    end
    if #elements < size then return { rows, 0 } end
    left, nextSeq = left - size, rows[#rows][1]
  end
  return { rows, nextSeq }
end

local function beforeOfNamed()
  local rows, nextSeq = {}, 0
  local pageSize = math.max(8, math.ceil(2 * limit / #names))
  for _, name in ipairs(names) do
    local seqs = call('ZREVRANGEBYSCORE', seqsKey(name), '(' .. seq, '-inf', 'LIMIT', 0, pageSize)
    for _, found in ipairs(seqs) do rows[#rows + 1] = { tonumber(found), name, 0 } end
    -- The topic may have more entries before those of a full page.
    if #seqs == pageSize then nextSeq = math.max(nextSeq, tonumber(seqs[pageSize])) end
  end
  table.sort(rows, function(a, b) return a[1] > b[1] end)
  while #rows > 0 and rows[#rows][1] < nextSeq do rows[#rows] = nil end
  for _, row in ipairs(rows) do
    if row[1] == topicRow(row[2]).closed and isBareClose(entryAt(row[1])) then row[3] = 1 end
  end
  return { rows, nextSeq }
end

return #names == 0 and beforeOfAll() or beforeOfNamed()
`

/**
 * `since epoch time`
 *
 * Reply: the seq of the last kept entry whose effective time is before `time`; 0 for none. Error: `LOST`.
 */
export const since = `${prelude}
if isLost() then return LOST end
local time, low, high = tonumber(ARGV[2]), 0, meta.head
while low < high do
  local middle = math.floor((low + high) / 2)
  local entry = entriesBetween(int(middle + 1), '+', 1)[1]
  if not entry or entry.seq > high or effectiveTime(entry.seq, entry.m) >= time then high = middle else low = entry.seq end
end
return low
`
