/**
 * Lua that makes the runs of a damaged log consistent again, so that every run still ends. It runs after the topics have been repaired.
 *
 * - An active run without a deadline gets a new one: its lease lasts anew.
 * - A deadline without a row is all that is left of an active run. The run gets a row with a token that no producer has, and is over.
 * - A run whose topic is closed has ended, with the outcome of the entry that closed the topic.
 * - A row with an outcome whose topic is open again, because its close is lost, is dropped.
 */
export const repairRuns = `
local function repairRuns(each, unknownToken)
  local clock, names, deadlines, rows = now(), {}, {}, {}
  local function note(name) names[name] = true end
  each('ZSCAN', CLAIMED, note)
  each('HSCAN', RUNS, function(name, text)
    note(name)
    rows[name] = cjson.decode(text)
  end)
  each('ZSCAN', DUE, function(name, deadline)
    note(name)
    deadlines[name] = tonumber(deadline)
  end)
  meta.claimed = call('HLEN', RUNS)

  local function repaired(name)
    local row, closed = rows[name], topicRow(name).closed
    if closed == 0 then
      if row then return not row.o and row or nil end
      if not deadlines[name] then return nil end
      deadlines[name] = clock
      return { f = 1, p = unknownToken, l = 0, g = 0, s = 0 }
    end
    if row and row.o then return row end
    local close = entryAt(closed)
    local outcome = close and close.o
    if not row and not outcome then return nil end
    row = row or { f = 1, p = unknownToken, l = 0, g = 0, s = 0 }
    row.o, row.d = parseOutcome(outcome or 'done')
    return row
  end
  local kept = {}
  for name in pairs(names) do kept[name] = repaired(name) end

  for _, key in ipairs({ RUNS, CLAIMED, DUE }) do call('DEL', key) end
  readRuns, meta.claimed, meta.active, meta.stops = {}, 0, 0, call('ZCARD', STOPS)
  for name, row in pairs(kept) do
    saveRun(name, row)
    if not row.o then
      extendLease(name, row, clock)
      if deadlines[name] then call('ZADD', DUE, int(deadlines[name]), name) end
    end
  end
end
`
