import { prelude } from './prelude.ts'

/**
 * `topics epoch names`, or `topics epoch [] prefix after limit`
 *
 * Describes the topics in `names`, a JSON list; or at most `limit` topics whose names begin with `prefix` and come after `after`, sorted.
 *
 * Reply: `[name, last, count, closed, outcome, detail]` of each topic: `last` is its newest seq, kept or gone; `count` is how many entries
 * are kept; `closed` is the seq of its close; `outcome` and `detail` tell how its run has ended. A seq of 0 stands for none. Error: `LOST`.
 */
export const topics = `${prelude}
if isLost() then return LOST end
local names = cjson.decode(ARGV[2])
if ARGV[3] then names = namesBetween(NAMES, ARGV[3], ARGV[4], tonumber(ARGV[5])) end
if isAnyDamaged(names) then return LOST end
local found = {}
for i, name in ipairs(names) do
  local row = topicRow(name)
  local run = row.closed > 0 and runRow(name) or {}
  found[i] = { name, math.max(newestSeq(name), row.trimmed, row.closed), row.count, row.closed, run.o or false, run.d or false }
end
return found
`
