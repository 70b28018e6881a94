import { prelude } from './prelude.ts'
import { repair } from './repair.ts'

/**
 * Opens the log, or looks at it again: the epoch and the server's run that the caller knows, or '', and the head; a fresh epoch and tag;
 * the run that there is, and whether what it holds survives one; the text that asks for a new epoch, or ''. A run is remembered with the
 * head that it began with: whoever knows of more has seen what is lost. A text counts when a process starts, not when it looks again, so
 * that two processes with different texts do not take turns. Returns `[epoch, tag, head, id of the last erasure, erasures, id of the last
 * question]`.
 */
export const open = `${prelude}${repair}
local known, lastRun, told = ARGV[1], ARGV[2], tonumber(ARGV[3])
local epoch, tag, run, isDurable, renewal = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8]
local version, runs, renewed = unpack(call('HMGET', META, 'version', 'runs', 'renewed'))
if version and version ~= '1' then return redis.error_reply('VERSION ' .. version) end
load()
local current = s.epoch
runs = runs or ''
local isSame = string.match(runs, '(%S+):%d+$') == run
if current and not isSame and isDurable then
  -- The newest of them: whoever comes back after more has missed too much to be sure.
  local kept = {}
  for one in string.gmatch(runs, '%S+') do kept[#kept + 1] = one end
  while #kept > 19 do table.remove(kept, 1) end
  kept[#kept + 1] = run .. ':' .. int(s.head)
  runs = table.concat(kept, ' ')
  call('HSET', META, 'runs', runs)
end
local isRewound = s.head < told
if current and current == known and lastRun ~= run then
  local since = string.match(' ' .. runs, ' ' .. lastRun .. ':%d+(.*)$')
  if not since then isRewound = true end
  for began in string.gmatch(since or '', ':(%d+)') do isRewound = isRewound or tonumber(began) < told end
end
local isRenewed = renewal ~= '' and renewal ~= renewed and (not current or known == '')
local isBroken = not current or isDamaged()
if isBroken then repair() end
if isBroken or isRenewed or (not isSame and not isDurable) or (current == known and isRewound) then
  call('HSET', META, 'version', '1', 'epoch', epoch, 'tag', tag, 'runs', run .. ':' .. int(s.head), 'head', int(s.head))
  current, s.tag = epoch, tonumber(tag)
end
if isRenewed then call('HSET', META, 'renewed', renewal) end
local function lastOf(stream)
  local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end
return { current, s.tag, s.head, lastOf(ERASED), s.erasures, lastOf(WIRE) }
`

/**
 * Whether an append would work: epoch, head, and the topic after which it looks whether topics are whole, some at a time. It writes, because
 * only that tells. Returns the topic to go on after, or '' when it has looked at the last one.
 */
export const probe = `${prelude}
if isLost() then return LOST end
if s.head < tonumber(ARGV[2]) then return redis.error_reply('REWOUND the log ends before what it had') end
local names = call('ZRANGEBYLEX', NAMES, ARGV[3] == '' and '-' or '(' .. ARGV[3], '+', 'LIMIT', 0, 100)
if isAnyDamaged(names) then return LOST end
call('HINCRBY', META, 'checks', 1)
return names[100] or ''
`
