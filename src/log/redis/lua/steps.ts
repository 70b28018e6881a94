/** A clock that is so much behind the log's time, in ms, was set back: the log follows it. One that is less behind is waited for. */
export const MAX_CLOCK_STEP_BACK = 10_000
/** Most marks of such clocks that are remembered; the oldest goes. */
const MAX_STEPS = 100

/**
 * Lua that keeps the log's time right when the server's clock was ahead and is set back. A mark tells the first seq that was given after
 * that and its time; marks rise in both. An entry before a mark was written before the mark's time, whatever its own time says: that is
 * its effective time, by which it ages and is found, and which never falls as seq rises.
 */
export const clockSteps = `
local function effectiveTime(seq, time)
  for _, step in ipairs(s.steps) do
    if seq < step.seq then return math.min(time, step.time) end -- the first such mark has the least time
  end
  return time
end
local function effective(e) return effectiveTime(e.seq, e.m) end

local function saveSteps()
  local marks = {}
  for i, step in ipairs(s.steps) do marks[i] = int(step.seq) .. ':' .. int(step.time) end
  call('HSET', META, 'steps', table.concat(marks, ' '))
end
local function addStep(seq, time)
  while #s.steps > 0 and s.steps[#s.steps].time >= time do table.remove(s.steps) end
  s.steps[#s.steps + 1] = { seq = seq, time = time }
  while #s.steps > ${MAX_STEPS} do table.remove(s.steps, 1) end
  saveSteps()
end
-- Forgets marks that are before everything whose time is still asked for: entries and keys.
local function dropSteps()
  if #s.steps == 0 then return end
  local entry, key = range('-', '+', 1)[1], call('ZRANGE', KEYS_BY_SEQ, 0, 0, 'WITHSCORES')
  local first = math.min(entry and entry.seq or s.head + 1, tonumber(key[2] or s.head + 1))
  local count = #s.steps
  while #s.steps > 0 and s.steps[1].seq <= first do table.remove(s.steps, 1) end
  if #s.steps < count then saveSteps() end
end
`
