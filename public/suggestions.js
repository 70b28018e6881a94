import { isPattern } from './topics.js'

/** Topics that are suggested for a pattern. */
const limit = 50

/** The topics that may be meant by somebody who watches these topics and patterns: those watched, and those that the hub has. */
export async function suggestTopics(hub, watched) {
  const known = await Promise.all(
    watched
      .slice(0, 5)
      .filter(isPattern)
      .map((pattern) => topicsOf(hub, pattern)),
  )
  return [...new Set([...watched.filter((topic) => !isPattern(topic)), ...known.flat()])]
}

async function topicsOf(hub, pattern) {
  try {
    const response = await hub.request(`topics?${new URLSearchParams({ topic: pattern, limit })}`)
    return (await response.json()).topics.map(({ topic }) => topic)
  } catch {
    return [] // a suggestion is not worth a message
  }
}
