import { prelude } from './prelude.ts'
import { topicSeqs } from './read.ts'

/**
 * `scan epoch after count bytes names`
 *
 * Reads entries of all topics after a seq, oldest first: at most `count`, and about `bytes` of them.
 *
 * - `names`: the topics that the caller's filter names, as JSON
 *
 * Reply: `[head, floor, scanned-to, rows, trimmed-to, trimmed-topics, trims]`. The rows are complete up to `scanned-to`. `trimmed-to` is
 * the last seq that was trimmed from the named topics, 0 for none. `trimmed-topics` is the number of topics that lost an entry after
 * `after` by trimming, and `trims` is the number of trims since the log began. Error: `LOST`.
 */
export const scan = `${prelude}${topicSeqs}
local after, left, bytesLeft = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local names = cjson.decode(ARGV[5])
if isLost() or isAnyDamaged(names) then return LOST end
local rows, scannedTo, from = {}, meta.head, after + 1
while left > 0 do
  local size = math.min(left, 50)
  local entries = entriesBetween(int(from), '+', size)
  for _, entry in ipairs(entries) do
    rows[#rows + 1] = rowOf(entry)
    bytesLeft = bytesLeft - entry.w
    from = entry.seq + 1
  end
  if #entries < size then break end
  left = left - size
  if bytesLeft <= 0 then left = 0 end
  if left <= 0 then scannedTo = from - 1 end
end
local trimmedTopics = call('ZCOUNT', TRIMMED, '(' .. int(after), '+inf')
return { meta.head, meta.floor, scannedTo, rows, lastTrimmed(names), trimmedTopics, meta.trims }
`

/**
 * `latest-seqs epoch names`
 *
 * Reply: for each topic a list with its newest seq. If that entry closes the topic without data, the seq of the entry before, which has the
 * topic's value, comes first. Error: `LOST`.
 */
export const latestSeqs = `${prelude}${topicSeqs}
local names, all = cjson.decode(ARGV[2]), {}
if isLost() or isAnyDamaged(names) then return LOST end
for i, name in ipairs(names) do all[i] = latestSeqsOf(name) end
return all
`

/**
 * `trimmed-after epoch after before limit`
 *
 * Finds the topics whose last trimmed seq is after a seq, the highest first.
 *
 * - `before`: the upper bound of the last trimmed seqs: `<seq>`, `(<seq>` to exclude that seq, or `+inf`
 *
 * Reply: `[trims, floor, names and seqs]`. Error: `LOST`.
 */
export const trimmedAfter = `${prelude}
if isLost() then return LOST end
local found = call('ZREVRANGEBYSCORE', TRIMMED, ARGV[3], '(' .. ARGV[2], 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[4]))
return { meta.trims, meta.floor, found }
`
