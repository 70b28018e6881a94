/**
 * Largest step back of the clock, in ms, that entries wait out: they get the newest entry's time until the clock has caught up. After a
 * larger step they get the clock's time.
 */
export const MAX_CLOCK_STEP_BACK_MS = 10_000
/** Most steps that are remembered. The oldest step is forgotten first. */
const MAX_STEPS = 100

/**
 * Lua for a server's clock that was ahead and is set back. A step holds the first seq that was appended after the clock was set back, and
 * the time of that entry; both rise from step to step. An entry before a step was appended before the step's time, even if its own time is
 * later. The lesser of the two times is the entry's effective time, which decides its age and is used in searches. Effective times never
 * fall as seqs rise.
 */
export const clock = `
local function effectiveTime(seq, time)
  for _, step in ipairs(meta.steps) do
    if seq < step.seq then return math.min(time, step.time) end -- of all steps after the entry, the first has the lowest time
  end
  return time
end

local function saveSteps()
  local texts = {}
  for i, step in ipairs(meta.steps) do texts[i] = int(step.seq) .. ':' .. int(step.time) end
  call('HSET', META, 'steps', table.concat(texts, ' '))
end
local function addStep(seq, time)
  local steps = meta.steps
  while #steps > 0 and steps[#steps].time >= time do table.remove(steps) end
  steps[#steps + 1] = { seq = seq, time = time }
  while #steps > ${MAX_STEPS} do table.remove(steps, 1) end
  saveSteps()
end
-- Drops the steps up to the oldest entry and the oldest idempotency key: no time that they correct is left.
local function dropOldSteps()
  if #meta.steps == 0 then return end
  local entry, key = entriesBetween('-', '+', 1)[1], call('ZRANGE', KEYS_BY_SEQ, 0, 0, 'WITHSCORES')
  local oldest = math.min(entry and entry.seq or meta.head + 1, tonumber(key[2] or meta.head + 1))
  local count = #meta.steps
  while #meta.steps > 0 and meta.steps[1].seq <= oldest do table.remove(meta.steps, 1) end
  if #meta.steps < count then saveSteps() end
end
`
