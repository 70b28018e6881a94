import { clock } from './clock.ts'
import { damage } from './damage.ts'
import { runRows } from './run-rows.ts'

/**
 * What all scripts share. Redis runs one script at a time, all or nothing
 * (https://redis.io/docs/latest/develop/programmability/eval-intro/).
 *
 * Each script is documented as a command: its name, its arguments in order, and its reply. `KEYS[1]` is the prefix of the hub's keys. The
 * argument `epoch` is the epoch that the caller knows. The errors are:
 *
 * - `LOST`: the log has another epoch, or lacks a key (`damage.ts`). The caller has to run `open`, which repairs a damaged log under a new
 *   epoch (`repair.ts`)
 * - `REWOUND`: the log ends before entries that were delivered to the caller. The caller has to run `open`
 * - `VERSION`: a newer release wrote the log
 *
 * The keys of a hub share one hash tag, so that a cluster keeps them in one slot:
 *
 * - `:log` stream: an entry `<seq>-<tag>` with `m` (time), `w` (weight), `t` (topic), and optionally `d` (data), `e` (event), `r` (retry),
 *   `c` (close), `o` (outcome of a run, with its detail after a line end)
 * - `:of:<topic>` sorted set: the seqs of the topic's entries
 * - `:topics` hash: `count bytes trimmed closed` of each topic: its entries, their bytes, its last trimmed seq, the seq of its close
 * - `:names` sorted set: the topics that have entries or are closed, in the order of their names
 * - `:trimmed` sorted set: the topics that something was trimmed from, by their last trimmed seq
 * - `:emptied` sorted set: the topics that have no entries and are not closed, by their last trimmed seq, 0 for none
 * - `:closed` sorted set: the closed topics that have no entries, by the seq of their close. Nodes of the previous release do not keep it:
 *   probes add the topics that these nodes leave out (`probe.ts`), and `forgetClosed` removes those that they leave in
 * - `:key` hash: `hash seq time` of each idempotency key, in a field `<topic>\n<key>`; `:keys` sorted set: these fields by seq
 * - `:blank` sorted set: `seq time topic` of each close whose entry was erased, by its seq
 * - `:erased` stream: erasures, with `n` (number), `t` (topic), `s` (seq, or empty for a whole topic), `u` (the seq up to which)
 * - `:runs` hash: the row of each run, see `run-rows.ts`; `:claimed` sorted set: the topics of these runs, in the order of their names
 * - `:due` sorted set: the active runs, by the server's time at which their lease and the time after it end
 * - `:stops` sorted set: topics for which a stop was asked before their first claim, by the time of the stop
 * - `:nodes` sorted set: the nodes, by the end of their lease; `:wire` stream: questions and answers of nodes, and changes of runs
 * - `:rate:<bucket>` string: the time at which the bucket is full again
 * - `:meta` hash, numbers: `head`; `time` of the newest entry; `tag` of the epoch; `count` and `bytes` of the entries; the numbers of
 *   `keys` and `emptied` topics; the numbers of `trims` and `erasures` so far; `floor`, the seq up to which nobody knows any more which
 *   topics were trimmed; `checks`, a counter that probes write; `marked`, the time of the last mark; how many runs are `claimed` and
 *   `active`, and the number of `stops`
 * - `:meta` hash, others: `version`; `epoch`; `runs`, the server's processes, each with its first head; `steps`, see `clock.ts`; `marks`,
 *   `seq:time` of the heads at past times, which tell the age of a close; `renewed`, the last text that asked for a new epoch; `damaged`,
 *   a topic whose seqs are missing
 *
 * During an upgrade nodes of the previous release write the same log, of version 1. They do not change fields of `:meta` that they do not
 * know. The first claim makes it version 2, which shuts these nodes out, because they know nothing of runs: the epoch moves to the field
 * `incarnation` (`keepOldNodesOut`).
 */
export const prelude = `
local base = KEYS[1]
local META, LOG, TOPICS, NAMES = base .. ':meta', base .. ':log', base .. ':topics', base .. ':names'
local TRIMMED, EMPTIED, KEY, KEYS_BY_SEQ = base .. ':trimmed', base .. ':emptied', base .. ':key', base .. ':keys'
local ERASED_CLOSES, ERASED, CLOSED = base .. ':blank', base .. ':erased', base .. ':closed'
local NODES, WIRE = base .. ':nodes', base .. ':wire'
local RUNS, CLAIMED, DUE, STOPS = base .. ':runs', base .. ':claimed', base .. ':due', base .. ':stops'
local LOST = redis.error_reply('LOST the log has another epoch, or lacks a key')
local REWOUND = redis.error_reply('REWOUND the log ends before entries that were delivered')
local call = redis.call

local function seqsKey(topic) return base .. ':of:' .. topic end
-- A number as text: without a fraction or an exponent, whatever its size.
local function int(n) return string.format('%.0f', n) end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The fields of :meta, read by loadMeta and written by saveMeta.
local meta
local numbers = {
  'head', 'time', 'count', 'bytes', 'keys', 'emptied', 'floor', 'trims', 'erasures', 'tag', 'marked', 'claimed', 'active', 'stops',
}
local function loadMeta()
  local values = call('HMGET', META, 'epoch', 'damaged', 'steps', 'version', 'incarnation', unpack(numbers))
  meta = { epoch = values[5] or values[1], damaged = values[2], version = values[4], steps = {} }
  for i, name in ipairs(numbers) do meta[name] = tonumber(values[i + 5] or 0) end
  for seq, time in string.gmatch(values[3] or '', '(%d+):(%d+)') do
    meta.steps[#meta.steps + 1] = { seq = tonumber(seq), time = tonumber(time) }
  end
end
local function saveMeta()
  local values = {}
  for _, name in ipairs(numbers) do
    values[#values + 1] = name
    values[#values + 1] = int(meta[name])
  end
  call('HSET', META, unpack(values))
end

-- The rows of topics that this script has read. row.stored is the text of the row in :topics, nil if there is none.
local topicRows = {}
local function topicRow(name)
  if topicRows[name] then return topicRows[name] end
  local row = { count = 0, bytes = 0, trimmed = 0, closed = 0 }
  local text = call('HGET', TOPICS, name)
  if text then
    local count, bytes, trimmed, closed = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    row.count, row.bytes, row.trimmed, row.closed = tonumber(count), tonumber(bytes), tonumber(trimmed), tonumber(closed)
    row.stored = text
  end
  topicRows[name] = row
  return row
end
local function textOf(row)
  return int(row.count) .. ' ' .. int(row.bytes) .. ' ' .. int(row.trimmed) .. ' ' .. int(row.closed)
end
local function isEmptied(row) return row.count == 0 and row.closed == 0 end
local function isOnlyClosed(row) return row.count == 0 and row.closed > 0 end
local function newestSeq(topic) return tonumber(call('ZREVRANGE', seqsKey(topic), 0, 0)[1] or 0) end

${runRows}
-- An element of a stream as a table of its fields.
local function fieldsOf(element)
  local fields, flat = { id = element[1] }, element[2]
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end
-- An entry has id, seq, and the fields of :log: m (time), w (weight), t (topic), d (data), e (event), r (retry), c (close),
-- o (outcome).
local function entryOf(element)
  local entry = fieldsOf(element)
  entry.seq, entry.m, entry.w = tonumber(string.match(entry.id, '^%d+')), tonumber(entry.m), tonumber(entry.w)
  return entry
end
local function erasedCloseOf(member)
  local seq, time, topic = string.match(member, '^(%d+) (%d+) (.*)$')
  local row = runRow(topic)
  local outcome = row and row.o ~= 'done' and row.o or nil
  return { seq = tonumber(seq), m = tonumber(time), t = topic, c = '1', o = outcome, w = #topic, erasedClose = member }
end
local function entryAt(seq)
  local element = call('XRANGE', LOG, int(seq), int(seq))[1]
  if element then return entryOf(element) end
  local member = call('ZRANGEBYSCORE', ERASED_CLOSES, int(seq), int(seq))[1]
  return member and erasedCloseOf(member)
end
-- Entries from one seq to another, oldest first, including closes whose entry was erased.
local function entriesBetween(from, to, limit)
  local entries = {}
  for i, element in ipairs(call('XRANGE', LOG, from, to, 'COUNT', limit)) do entries[i] = entryOf(element) end
  local last = #entries == limit and int(entries[limit].seq) or (to == '+' and '+inf' or to)
  local closes = call('ZRANGEBYSCORE', ERASED_CLOSES, from == '-' and '-inf' or from, last, 'LIMIT', 0, limit)
  if #closes == 0 then return entries end
  for _, member in ipairs(closes) do entries[#entries + 1] = erasedCloseOf(member) end
  table.sort(entries, function(a, b) return a.seq < b.seq end)
  while #entries > limit do entries[#entries] = nil end
  return entries
end
-- Whether an entry closes its topic without data: the topic's value is then the entry before it.
local function isBareClose(entry) return entry ~= nil and entry ~= false and entry.c ~= nil and entry.d == nil end
local function rowOf(entry)
  local optional = {}
  for i, name in ipairs({ 'd', 'e', 'r', 'c', 'o' }) do optional[i] = entry[name] or false end
  return { entry.seq, entry.m, entry.t, unpack(optional) }
end
-- At most limit names of a sorted set that begin with a prefix and come after another name.
local function namesBetween(key, prefix, after, limit)
  local from = after >= prefix and '(' .. after or '[' .. prefix
  local to = prefix == '' and '+' or '(' .. prefix .. '\\255'
  return call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, limit)
end
${clock}${damage}`
