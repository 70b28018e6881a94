/** Reads topics and patterns that a person types, and makes addresses of them. */

export const parseList = (text) => [...new Set(text.split(/[\s,]+/).filter(Boolean))]

export const isPattern = (topic) => topic.includes('*')

/** The topic that messages go to without asking: the watched topic if one topic and no pattern is watched, otherwise null. */
export const onlyTopic = (topics) => (topics.length === 1 && !isPattern(topics[0]) ? topics[0] : null)

/** Names topics in a sentence: two of them, or their number. */
export function nameOf(topics) {
  return topics.length > 2 ? `${topics.length} topics` : topics.join(' and ')
}

/** A topic that a pattern matches. */
export const exampleOf = (pattern) => pattern.replace(/\*+/g, 'one')

export const watchedIn = (search) => parseList(new URLSearchParams(search).getAll('topic').join(' '))

/** Slashes of a topic stay slashes. */
export const topicAddress = (topic) => `topics/${topic.split('/').map(encodeURIComponent).join('/')}`

export function pageAddress(topics) {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
  // A slash is legal in a query, and easier to read in a shared address.
  return topics.length === 0 ? './' : `./?${query}`.replaceAll('%2F', '/')
}
