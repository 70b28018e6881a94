import { changes } from './changes.ts'
import { prelude } from './prelude.ts'

/**
 * `erase-entry epoch topic seq trimmed-count`
 *
 * Erases one entry. If the entry closed its topic, the close stays, without data.
 *
 * Reply: the number of erasures so far, including this one; 0 if the topic has no such entry. Error: `LOST`.
 */
export const eraseEntry = `${prelude}${changes}
local name, seq = ARGV[2], tonumber(ARGV[3])
if isLost() or isAnyDamaged({ name }) then return LOST end
local entry = entryAt(seq)
if not entry or entry.t ~= name then return 0 end
remove(entry)
local row = changedRow(name)
if row.closed == seq then
  call('ZADD', ERASED_CLOSES, int(seq), int(seq) .. ' ' .. int(entry.m) .. ' ' .. name)
  call('ZADD', seqsKey(name), int(seq), int(seq))
  row.count, row.bytes = row.count + 1, row.bytes + #name
  meta.count, meta.bytes = meta.count + 1, meta.bytes + #name
end
announceErasure(name, int(seq), seq)
saveChanges(tonumber(ARGV[4]))
return meta.erasures
`

/**
 * `forget-topic epoch topic up-to step trimmed-count erased`
 *
 * Erases at most `step` entries of a topic up to a seq. Once none of these entries is left, a close up to that seq is removed too, and with
 * it the topic's run.
 *
 * - `erased`: how many entries earlier calls for the same erasure have erased
 *
 * Reply: `[count, more, erasures, announced]`: how many entries this call erased; 1 if there may be more to erase; the number of erasures so
 * far, 0 if there was nothing to erase. `announced` is empty, or the id of the element in `:wire` that tells all nodes of the end of the
 * run, and the topic. Error: `LOST`.
 */
export const forgetTopic = `${prelude}${changes}
local name, upTo, step, erasedBefore = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
if isLost() or isAnyDamaged({ name }) then return LOST end
local seqs = call('ZRANGEBYSCORE', seqsKey(name), '-inf', int(upTo), 'LIMIT', 0, step)
for _, seq in ipairs(seqs) do trim(entryAt(tonumber(seq))) end
local more = #seqs == step and 1 or 0
local erasures, ended = 0, {}
if more == 0 then
  local row = changedRow(name)
  local isReopened, hasRun = row.closed > 0 and row.closed <= upTo, runRow(name) ~= nil
  if isReopened then row.closed = 0 end
  local isForgotten = row.closed == 0 and removeRun(name)
  if erasedBefore + #seqs == 0 and not isReopened and not isForgotten then return { 0, 0, 0, {} } end
  if isForgotten and hasRun then ended = { name } end
  announceErasure(name, '', upTo)
  erasures = meta.erasures
end
saveChanges(tonumber(ARGV[5]))
return { #seqs, more, erasures, announceRuns(ended) }
`
