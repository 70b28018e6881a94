import { checks } from './checks.ts'
import { clockSteps } from './steps.ts'

/**
 * What runs inside the server, one script at a time and all or nothing (https://redis.io/docs/latest/develop/programmability/eval-intro/).
 * Each is told the epoch that its caller believes in, and refuses to work on any other: a log that was emptied or replaced answers nothing.
 * It also refuses a log of which a key is gone (`checks.ts`): the caller then runs `open`, which repairs it under a new epoch (`repair.ts`).
 *
 * Keys of a hub, all behind one hash tag, so that a cluster keeps them together:
 *
 * - `:meta` hash: version, epoch, tag, runs, head, time, count, bytes, keys, emptied, floor, trims, erasures; `steps`, marks `seq:time` of a
 *   clock that was set back; `renewed`, the text that last asked for a new epoch; `damaged`, a topic whose seqs are gone; `checks`, a counter
 *   that probes write
 * - `:log` stream: an entry `<seq>-<tag>`, with m (time), w (weight), t (topic) and of d (data), e (event), r (retry), c (close) those it has
 * - `:of:<topic>` sorted set of the topic's seqs; `:topics` hash: `count bytes trimmed closed` of each topic
 * - `:names` sorted set of topics that have entries or are closed; `:trimmed` of those trimmed, and `:emptied` of those with nothing left, by the last trimmed seq
 * - `:key` hash: `hash seq time` of each idempotency key; `:keys` sorted set of them by seq
 * - `:blank` sorted set of `seq time topic`: closes whose entry was erased
 * - `:erased` stream: what was erased of what was delivered
 * - `:nodes` sorted set of processes by when their lease ends; `:wire` stream: what they ask each other; `:rate:<bucket>` when it is full again
 *
 * Nodes of the previous release write the same log during an upgrade: they leave the fields of `:meta` alone that they do not know.
 */
export const prelude = `
local base = KEYS[1]
local META, LOG, TOPICS, NAMES = base .. ':meta', base .. ':log', base .. ':topics', base .. ':names'
local TRIMMED, EMPTIED, KEY, KEYS_BY_SEQ = base .. ':trimmed', base .. ':emptied', base .. ':key', base .. ':keys'
local BLANK, ERASED = base .. ':blank', base .. ':erased'
local NODES, WIRE = base .. ':nodes', base .. ':wire'
local call = redis.call

local function of(topic) return base .. ':of:' .. topic end
local function int(n) return string.format('%.0f', n) end
local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local LOST = redis.error_reply('LOST the log has another epoch, or lacks a key')

local numbers = { 'head', 'time', 'count', 'bytes', 'keys', 'emptied', 'floor', 'trims', 'erasures', 'tag' }
local s
local function load()
  local values = call('HMGET', META, 'epoch', 'damaged', 'steps', unpack(numbers))
  s = { epoch = values[1], damaged = values[2], steps = {} }
  for i, name in ipairs(numbers) do s[name] = tonumber(values[i + 3] or 0) end
  for seq, time in string.gmatch(values[3] or '', '(%d+):(%d+)') do
    s.steps[#s.steps + 1] = { seq = tonumber(seq), time = tonumber(time) }
  end
end
local function save()
  local values = {}
  for _, name in ipairs(numbers) do
    values[#values + 1] = name
    values[#values + 1] = int(s[name])
  end
  call('HSET', META, unpack(values))
end

local rows = {}
local function topicRow(name)
  if rows[name] then return rows[name] end
  local row = { count = 0, bytes = 0, trimmed = 0, closed = 0 }
  local text = call('HGET', TOPICS, name)
  if text then
    local c, b, t, x = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    row.count, row.bytes, row.trimmed, row.closed, row.known = tonumber(c), tonumber(b), tonumber(t), tonumber(x), text
  end
  rows[name] = row
  return row
end
local function isEmptied(row) return row.count == 0 and row.closed == 0 end
local function newest(topic) return tonumber(call('ZREVRANGE', of(topic), 0, 0)[1] or 0) end

local function entryFields(found)
  local e, f = { seq = tonumber(string.match(found[1], '^%d+')), id = found[1] }, found[2]
  for i = 1, #f, 2 do e[f[i]] = f[i + 1] end
  return e
end
local function entryOf(found)
  local e = entryFields(found)
  e.m, e.w = tonumber(e.m), tonumber(e.w)
  return e
end
local function blankOf(member)
  local seq, time, topic = string.match(member, '^(%d+) (%d+) (.*)$')
  return { seq = tonumber(seq), m = tonumber(time), t = topic, c = '1', w = #topic, blank = member }
end
local function entryAt(seq)
  local found = call('XRANGE', LOG, int(seq), int(seq))[1]
  if found then return entryOf(found) end
  local member = call('ZRANGEBYSCORE', BLANK, int(seq), int(seq))[1]
  return member and blankOf(member)
end
-- Entries from one seq to another, oldest first, with the blank ones in their places.
local function range(from, to, limit)
  local entries = {}
  for i, found in ipairs(call('XRANGE', LOG, from, to, 'COUNT', limit)) do entries[i] = entryOf(found) end
  local last = #entries == limit and int(entries[limit].seq) or (to == '+' and '+inf' or to)
  local blanks = call('ZRANGEBYSCORE', BLANK, from == '-' and '-inf' or from, last, 'LIMIT', 0, limit)
  if #blanks == 0 then return entries end
  for _, member in ipairs(blanks) do entries[#entries + 1] = blankOf(member) end
  table.sort(entries, function(a, b) return a.seq < b.seq end)
  while #entries > limit do entries[#entries] = nil end
  return entries
end
local function isBare(e) return e ~= nil and e ~= false and e.c ~= nil and e.d == nil end
local function shown(e) return { e.seq, e.m, e.t, e.d or false, e.e or false, e.r or false, e.c or false } end
${clockSteps}${checks}`
