import { prelude } from './prelude.ts'

/** How many topics one probe looks at. */
const TOPICS = 100

/**
 * `probe epoch delivered-to after-topic`
 *
 * Finds out whether a commit would succeed. Only a write tells, so each probe raises the counter `checks` in `:meta`. Also checks, for the
 * next topics in the order of their names, that no seqs are missing, and adds to `:closed` those that nodes of the previous release left
 * out.
 *
 * - `delivered-to`: the newest seq that was delivered to the caller
 * - `after-topic`: the topic that the last probe ended with, empty to begin
 *
 * Reply: the topic that this probe ended with, empty if there are no further topics. Errors: `LOST`, `REWOUND`.
 */
export const probe = `${prelude}
local deliveredTo, afterTopic = tonumber(ARGV[2]), ARGV[3]
if isLost() then return LOST end
if meta.head < deliveredTo then return REWOUND end
local names = call('ZRANGEBYLEX', NAMES, afterTopic == '' and '-' or '(' .. afterTopic, '+', 'LIMIT', 0, ${TOPICS})
if isAnyDamaged(names) then return LOST end
call('HINCRBY', META, 'checks', 1)
for _, name in ipairs(names) do
  local row = topicRow(name)
  if isOnlyClosed(row) then call('ZADD', CLOSED, int(row.closed), name) end
end
return names[${TOPICS}] or ''
`
