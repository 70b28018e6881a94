/** The topics and patterns a person types, and the addresses made of them. */

export const parseList = (text) => [...new Set(text.split(/[\s,]+/).filter(Boolean))]

export const isPattern = (topic) => topic.includes('*')

/** The one topic a message can go to without asking, or null. */
export const onlyTopic = (topics) => (topics.length === 1 && !isPattern(topics[0]) ? topics[0] : null)

/** A first guess for where to publish: a watched topic, or else the fixed beginning of a pattern. */
export function suggestedTopic(topics) {
  return topics.find((topic) => !isPattern(topic)) ?? topics[0].slice(0, topics[0].indexOf('*'))
}

export function eventAddress(topics, position) {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
  // The browser sends Last-Event-ID only from an EventSource that saw the id itself; a fresh one must carry it here.
  if (position) query.set('lastEventId', position)
  return withQuery('event', query)
}

export function sendAddress(topic) {
  return topic === null ? 'send' : withQuery('send', new URLSearchParams({ topic }))
}

export function pageAddress(topics, names) {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
  for (const name of names) query.append('event', name)
  // A slash is legal in a query, and a shared address is read by people.
  return withQuery('./', query).replaceAll('%2F', '/')
}

function withQuery(path, query) {
  const text = query.toString()
  return text ? `${path}?${text}` : path
}
