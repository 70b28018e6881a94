/** Reads topics and patterns that a person types, and makes addresses of them. */

export const parseList = (text) => [...new Set(text.split(/[\s,]+/).filter(Boolean))]

export const isPattern = (topic) => topic.includes('*')

/** The topic that messages go to without asking: the watched topic if one topic and no pattern is watched, otherwise null. */
export const onlyTopic = (topics) => (topics.length === 1 && !isPattern(topics[0]) ? topics[0] : null)

/** Suggests where to publish: a watched topic, or else the fixed beginning of a pattern. */
export function suggestedTopic(topics) {
  return topics.find((topic) => !isPattern(topic)) ?? topics[0].slice(0, topics[0].indexOf('*'))
}

export function eventAddress(topics, position) {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
  // A browser sends Last-Event-ID only for an EventSource that received the id itself; a new one needs it in the query.
  if (position) query.set('lastEventId', position)
  return withQuery('event', query)
}

export function sendAddress(topic) {
  return topic === null ? 'send' : withQuery('send', new URLSearchParams({ topic }))
}

export function pageAddress(topics, names) {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
  for (const name of names) query.append('event', name)
  // A slash is legal in a query, and easier to read in a shared address.
  return withQuery('./', query).replaceAll('%2F', '/')
}

function withQuery(path, query) {
  const text = query.toString()
  return text ? `${path}?${text}` : path
}
