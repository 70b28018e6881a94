import { AppError } from '../errors.ts'
import { defaultTopicLimits, parseTopic } from '../topic.ts'

/** Longest id, in UTF-16 code units. */
export const MAX_ID_LENGTH = 4096

/** Marks a segment as a hash; base64url has no `~`. */
const HASHED = 'h~'

/**
 * Turns an id of another program, which may be any text, into a topic. The last segment is the base64url of the id's UTF-8, or `h~` and the
 * base64url of its SHA-256 if the topic would be longer than 200 bytes, or if the id is empty. The same prefix and id always give the same
 * topic, and different ids give different ones. The first entry of a stream has the id as it was (`introductionOf`).
 *
 * @param prefix a topic of at most 154 bytes, below which the topics of all ids are
 * @throws AppError `parameter_invalid` (an id longer than `MAX_ID_LENGTH`, or ill-formed UTF-16), `topic_invalid`, `topic_too_long`
 * @example
 * console.log(await topicOf('chats', 'user 7/3')) // chats/dXNlciA3LzM
 */
export async function topicOf(prefix: string, id: string): Promise<string> {
  if (id.length > MAX_ID_LENGTH || !id.isWellFormed())
    throw new AppError(
      'parameter_invalid',
      `Cannot make a topic of an id of ${id.length} characters: expected well-formed text of at most ${MAX_ID_LENGTH}`,
    )
  const bytes = new TextEncoder().encode(id)
  const topic = `${prefix}/${base64url(bytes)}`
  if (bytes.length > 0 && topic.length <= defaultTopicLimits.maxTopicBytes) return parseTopic(topic)
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return parseTopic(`${prefix}/${HASHED}${base64url(hash)}`, defaultTopicLimits)
}

/** Only for short data: each byte is an argument of one call. */
function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
