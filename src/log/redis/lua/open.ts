import { prelude } from './prelude.ts'
import { repair } from './repair.ts'

/** How many processes of the server are remembered. For a node that reconnects after more restarts, entries count as lost. */
const MAX_RUNS = 20

/**
 * `open known-epoch known-run delivered-to fresh-epoch fresh-tag run is-synced new-epoch-text`
 *
 * Opens the log, or verifies the log after a reconnect; repairs it if it is damaged. The log gets the fresh epoch and tag if:
 *
 * - it is new or damaged
 * - it lost entries that were delivered to the caller
 * - the server was restarted and may have lost entries
 * - the operator asks for a new epoch
 *
 * Arguments:
 *
 * - `known-epoch`, `known-run`, `delivered-to`: the epoch, the server's process and the newest delivered seq that the caller knows; empty,
 *   empty and 0 for a node that starts
 * - `run`: the server's process now
 * - `is-synced`: 1 if a restart of the server keeps everything that was acknowledged
 * - `new-epoch-text`: the operator's text that asks for a new epoch, empty for none. It counts only when a node starts: otherwise two
 *   nodes with different texts would each begin a new epoch at every reconnect
 *
 * `:meta` remembers the head that each process of the server began with. Entries are lost if a later process than the caller's began with a
 * head before `delivered-to`.
 *
 * Reply: `[epoch, tag, head, last-erased-id, erasures, last-wire-id]`. Error: `VERSION`.
 */
export const open = `${prelude}${repair}
local knownEpoch, knownRun, deliveredTo = ARGV[1], ARGV[2], tonumber(ARGV[3])
local freshEpoch, freshTag, run, isSynced, newEpochText = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8]
local version, runs, renewed = unpack(call('HMGET', META, 'version', 'runs', 'renewed'))
if version and version ~= '1' and version ~= '2' then return redis.error_reply('VERSION ' .. version) end
loadMeta()
local epoch, isKnown = meta.epoch, meta.epoch == knownEpoch
runs = runs or ''
local isSameRun = string.match(runs, '(%S+):%d+$') == run

if epoch and not isSameRun and isSynced then
  local kept = {}
  for one in string.gmatch(runs, '%S+') do kept[#kept + 1] = one end
  while #kept >= ${MAX_RUNS} do table.remove(kept, 1) end
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
if isBroken then repair('lost ' .. freshTag) end
if isBroken or isRenewed or mayHaveLost or isLostToCaller then
  local first = run .. ':' .. int(meta.head)
  call('HSET', META, 'tag', freshTag, 'runs', first, 'head', int(meta.head))
  if version == '2' then call('HSET', META, 'incarnation', freshEpoch) else call('HSET', META, 'version', '1', 'epoch', freshEpoch) end
  epoch, meta.epoch, meta.tag = freshEpoch, freshEpoch, tonumber(freshTag)
  if meta.claimed > 0 then keepOldNodesOut() end
end
if isRenewed then call('HSET', META, 'renewed', newEpochText) end

local function lastId(stream)
  local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end
return { epoch, meta.tag, meta.head, lastId(ERASED), meta.erasures, lastId(WIRE) }
`
