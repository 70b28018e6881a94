import { prelude } from './prelude.ts'

/** Lua that finds the last trimmed seq of topics, and the seqs of the entries with a topic's current value. */
export const topicSeqs = `
local function lastTrimmed(names)
  local seq = 0
  for _, name in ipairs(names) do seq = math.max(seq, topicRow(name).trimmed) end
  return seq
end
-- The newest seq of a topic. If its entry closes the topic without data, the seq of the entry before comes first: it has the value.
local function latestSeqsOf(name)
  local newest = newestSeq(name)
  if newest == 0 then return {} end
  if topicRow(name).closed ~= newest or not isBareClose(entryAt(newest)) then return { newest } end
  local before = call('ZREVRANGEBYSCORE', seqsKey(name), '(' .. int(newest), '-inf', 'LIMIT', 0, 1)[1]
  return before and { tonumber(before), newest } or { newest }
end
`

/**
 * `read epoch after count bytes latest names`
 *
 * Reads entries of topics after a seq, oldest first: at most `count`, and at most `bytes` of them, or one larger entry.
 *
 * - `latest`: 1 for the newest entry of each topic alone
 * - `names`: the topics, as JSON
 *
 * Reply: `[head, floor, scanned-to, conflated, rows, trimmed-to]`. The rows are complete up to `scanned-to`. `conflated` is the last seq
 * that a newer entry of its topic replaces, and may be after `scanned-to`. `trimmed-to` is the last seq that was trimmed from these topics.
 * Both are 0 for none. Error: `LOST`.
 */
export const read = `${prelude}${topicSeqs}
local after, maxCount, maxBytes, isLatest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local names = cjson.decode(ARGV[6])
if isLost() or isAnyDamaged(names) then return LOST end
-- Up to completeTo, seqs holds all seqs of the topics.
local seqs, conflated, completeTo = {}, 0, meta.head
local pageSize = math.min(maxCount + 1, math.max(8, math.ceil(2 * maxCount / #names)))
for _, name in ipairs(names) do
  if not isLatest then
    local page = call('ZRANGEBYSCORE', seqsKey(name), '(' .. int(after), '+inf', 'LIMIT', 0, pageSize)
    for _, seq in ipairs(page) do seqs[#seqs + 1] = tonumber(seq) end
    -- The topic may have more entries after those of a full page.
    if #page == pageSize then completeTo = math.min(completeTo, tonumber(page[pageSize])) end
  else
    local first
    for _, seq in ipairs(latestSeqsOf(name)) do
      if seq > after then
        seqs[#seqs + 1] = seq
        first = first or seq
      end
    end
    local before = first and call('ZREVRANGEBYSCORE', seqsKey(name), '(' .. int(first), '(' .. int(after), 'LIMIT', 0, 1)[1]
    if before then conflated = math.max(conflated, tonumber(before)) end
  end
end
table.sort(seqs)
local rows, bytes, scannedTo = {}, 0, completeTo
for _, seq in ipairs(seqs) do
  if seq > completeTo then break end
  local entry = #rows < maxCount and entryAt(seq)
  if entry then bytes = bytes + entry.w end
  if not entry or (#rows > 0 and bytes > maxBytes) then
    scannedTo = seq - 1
    break
  end
  rows[#rows + 1] = rowOf(entry)
end
return { meta.head, meta.floor, scannedTo, conflated, rows, lastTrimmed(names) }
`
