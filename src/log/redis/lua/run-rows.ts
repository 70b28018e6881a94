import { WIRE_LENGTH } from './wire.ts'

/**
 * Lua for the rows of runs. A row is a JSON object in `:runs`: `f` (fence), `p` (token of the last claim), `k` (its key), `l` and `g`
 * (`leaseMs` and `graceMs`), `s` (when a stop was asked, 0 for never), and once the run has ended `o` (outcome) and `d` (detail).
 *
 * The end of a lease is stored once: a run's score in `:due` is the end of its lease plus `g`. So a renewal writes that score alone.
 */
export const runRows = `
-- The row of a topic's run; nil if nobody has claimed the topic.
local readRuns = {}
local function runRow(name)
  if meta.claimed == 0 then return nil end
  if readRuns[name] == nil then
    local text = call('HGET', RUNS, name)
    readRuns[name] = text and cjson.decode(text) or false
  end
  return readRuns[name] or nil
end
-- The row of a topic's run, if the run is active. Costs nothing while the hub has no active run.
local function activeRun(name)
  if meta.active == 0 then return nil end
  local row = runRow(name)
  if row and not row.o then return row end
  return nil
end

local function saveRun(name, row)
  readRuns[name] = row
  if call('HSET', RUNS, name, cjson.encode(row)) == 0 then return end
  call('ZADD', CLAIMED, 0, name)
  meta.claimed = meta.claimed + 1
end
-- A sign of life: the lease lasts anew.
local function extendLease(name, row, clock)
  meta.active = meta.active + call('ZADD', DUE, int(clock + row.l + row.g), name)
end
local function deadlineOf(name) return tonumber(call('ZSCORE', DUE, name)) end
local function leaseEndOf(name, row) return deadlineOf(name) - row.g end

-- An outcome and its detail, which follows a line end.
local function parseOutcome(text)
  local lineEnd = string.find(text, '\\n', 1, true)
  if not lineEnd then return text end
  return string.sub(text, 1, lineEnd - 1), string.sub(text, lineEnd + 1)
end
local function endRun(name, row, text)
  row.o, row.d = parseOutcome(text)
  saveRun(name, row)
  meta.active = meta.active - call('ZREM', DUE, name)
end
-- Removes all that is known of a topic's run, and a stop that was asked before. Returns whether there was anything.
local function removeRun(name)
  local stops = meta.stops > 0 and call('ZREM', STOPS, name) or 0
  meta.stops = meta.stops - stops
  if not runRow(name) then return stops > 0 end
  readRuns[name] = false
  call('HDEL', RUNS, name)
  call('ZREM', CLAIMED, name)
  meta.active = meta.active - call('ZREM', DUE, name)
  meta.claimed = meta.claimed - 1
  return true
end

-- Tells all nodes that the runs of these topics have changed. Returns the id of the element in :wire, and the topics.
local function announceRuns(names)
  if #names == 0 then return {} end
  return { call('XADD', WIRE, 'MAXLEN', '~', ${WIRE_LENGTH}, '*', 'k', 'run', 'text', cjson.encode(names)), unpack(names) }
end

-- From the first claim on, nodes of a release that does not know runs must neither append nor trim. Each of their scripts first compares
-- its epoch with the field 'epoch', and answers LOST; their 'open' then reads the version, and they say that a newer release wrote the log.
local function keepOldNodesOut()
  if meta.version == '2' then return end
  meta.version = '2'
  call('HSET', META, 'version', '2', 'incarnation', meta.epoch, 'epoch', 'of a newer release')
end
`
