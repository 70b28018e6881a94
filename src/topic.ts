import { AppError, type Code, quote } from './errors.ts'

/** The topic of the demo's value. Only `Hub.set` writes it, which `/send` without a topic calls. */
export const STORE = '$store'

/** How long one topic or pattern may be. */
export interface NameLimits {
  /** Longest topic or pattern, in bytes (its alphabet is ASCII). */
  readonly maxTopicBytes: number
  /** Most segments of a topic or pattern. Up to 2ⁿ patterns of words and `*` match a topic of n segments. */
  readonly maxTopicSegments: number
}

/** How many and how long topics one request may name. */
export interface TopicLimits extends NameLimits {
  /** Most segments of all patterns of one filter together: the hub keeps an object for each. */
  readonly maxPatternSegments: number
  /** Most topics and patterns of one filter. */
  readonly maxTopics: number
}

export const defaultTopicLimits: TopicLimits = {
  maxTopicBytes: 200,
  maxTopicSegments: 10,
  maxPatternSegments: 300,
  maxTopics: 100,
}

/** Bounds that hold for every topic, whatever a hub allows: for grants, and for topics that are in the log. */
const anyTopic: TopicLimits = { ...defaultTopicLimits, maxTopicSegments: 100, maxPatternSegments: 10_000 }

const SEGMENT = /^[A-Za-z0-9._~@:-]+$/
const OWN_SEGMENT = /^\$[A-Za-z0-9._~@:-]+$/
const ALPHABET = 'segments of letters, digits, . _ ~ @ : - joined by /'

/**
 * Returns `text` if it is a topic: 1…200 bytes, segments of `[A-Za-z0-9._~@:-]` joined by `/`.
 * A first segment that starts with `$` marks the hub's own topics.
 *
 * @throws AppError `topic_invalid`, `topic_too_long`
 */
export function parseTopic(text: string, limits: NameLimits = anyTopic): string {
  const segments = split('topic', 'topic_invalid', text, limits)
  for (const [i, segment] of segments.entries()) {
    if (isWord(segment, i)) continue
    if (segment === '*' || segment === '**')
      throw new AppError('topic_invalid', `Cannot use ${quote(text)} as a topic: it is a pattern, name one topic`)
    throw new AppError('topic_invalid', `Cannot use ${quote(text)} as a topic: expected ${ALPHABET}`)
  }
  return text
}

/**
 * Returns a topic as it stands in the path of a URL. Slashes stay as they are, because Apache refuses escaped ones unless it is told
 * otherwise (`AllowEncodedSlashes`), but for topics with a segment of dots, which would name another one.
 */
export function topicInPath(topic: string): string {
  const escaped = encodeURIComponent(topic)
  return /(^|\/)\.{1,2}(\/|$)/.test(topic) ? escaped : escaped.replaceAll('%2F', '/')
}

/**
 * Returns `text` if it is a pattern: a topic in which `*` stands for exactly one segment, and a last `**` for one or more.
 *
 * @throws AppError `pattern_invalid`, `topic_too_long`
 */
export function parsePattern(text: string, limits: NameLimits = anyTopic): string {
  const segments = split('pattern', 'pattern_invalid', text, limits)
  for (const [i, segment] of segments.entries()) {
    if (segment === '*' || isWord(segment, i)) continue
    if (segment === '**' && i === segments.length - 1) continue
    const why =
      segment === '**'
        ? '** may only be the last segment'
        : `expected ${ALPHABET}, with * for one segment, ** for the rest`
    throw new AppError('pattern_invalid', `Cannot use ${quote(text)} as a pattern: ${why}`)
  }
  return text
}

/** Whether a name is a pattern, which more than one topic may match. */
export function isPattern(text: string): boolean {
  return text.includes('*')
}

/** Whether a topic is the hub's own (`$…`): readable as granted, written by the hub alone. */
export function isOwn(topic: string): boolean {
  return topic.startsWith('$')
}

/** Whether a pattern matches a topic, both parsed and split. A `$` topic is matched only by a pattern that names its first segment. */
export function matches(pattern: readonly string[], topic: readonly string[]): boolean {
  if (isOwn(topic[0]!) && pattern[0] !== topic[0]) return false
  for (let i = 0; i < pattern.length; i++) {
    const segment = pattern[i]
    if (segment === '**') return topic.length > i
    if (i >= topic.length || (segment !== '*' && segment !== topic[i])) return false
  }
  return topic.length === pattern.length
}

/** Returns a prefix of all topics that a topic or pattern matches: the characters before its first `*`. */
export function prefixOf(name: string): string {
  return name.split('*', 1)[0]!
}

/** Whether the topic or pattern `granted` matches every topic that the topic or pattern `asked` matches. */
export function covers(granted: string, asked: string): boolean {
  if (granted === '**') return !isOwn(asked)
  const [ours, theirs] = [granted.split('/'), asked.split('/')]
  if (isOwn(asked) && ours[0] !== theirs[0]) return false
  for (const [i, segment] of ours.entries()) {
    const other = theirs[i]
    if (other === undefined) return false
    if (segment === '**') return true
    if (other === '**' || (segment !== '*' && segment !== other)) return false
  }
  return ours.length === theirs.length
}

/**
 * A set of topics and patterns that a reader asks for. Equal sets have equal keys.
 *
 * @example
 * const filter = Filter.parse(['news/*', 'chat/**'])
 * console.log(filter.matches('news/today'), filter.matches('weather'))
 */
export class Filter {
  readonly topics: ReadonlySet<string>
  readonly patterns: readonly string[]
  /** Canonical: a JSON list, in which two names cannot look like one (CVE-2026-39972 came from joined strings). */
  readonly key: string
  readonly #split: readonly (readonly string[])[]
  readonly #isAll: boolean

  private constructor(topics: readonly string[], patterns: readonly string[]) {
    this.topics = new Set(topics)
    this.patterns = patterns
    this.#split = patterns.map((pattern) => pattern.split('/'))
    this.#isAll = patterns.includes('**')
    this.key = JSON.stringify([...topics, ...patterns])
  }

  /**
   * Parses topics and patterns, at least one and at most `limits.maxTopics`; repeated names count once.
   *
   * @throws AppError `topic_missing`, `too_many_topics`, `topic_invalid`, `pattern_invalid`, `topic_too_long`
   */
  static parse(names: readonly string[], limits = anyTopic): Filter {
    const unique = [...new Set(names)].sort()
    if (unique.length === 0)
      throw new AppError('topic_missing', 'Cannot subscribe to nothing: name a topic or a pattern')
    if (unique.length > limits.maxTopics)
      throw new AppError(
        'too_many_topics',
        `Cannot subscribe to ${unique.length} topics: at most ${limits.maxTopics} on one stream`,
      )
    const topics = unique.filter((name) => !isPattern(name)).map((name) => parseTopic(name, limits))
    const patterns = unique.filter(isPattern).map((name) => parsePattern(name, limits))
    const segments = patterns.reduce((sum, pattern) => sum + pattern.split('/').length, 0)
    if (segments > limits.maxPatternSegments)
      throw new AppError(
        'too_many_topics',
        `Cannot subscribe to patterns of ${segments} segments: at most ${limits.maxPatternSegments} on one stream`,
      )
    return new Filter(topics, patterns)
  }

  /** How many topics one turn of the event loop may match: 100…500, fewer for more patterns. */
  get matchBudget(): number {
    return Math.max(100, Math.min(500, Math.floor(10_000 / this.patterns.length)))
  }

  /** A prefix of all topics that the filter matches. */
  get prefix(): string {
    const [first = '', ...others] = [...this.topics, ...this.patterns].map(prefixOf)
    let { length } = first
    for (const other of others) while (!other.startsWith(first.slice(0, length))) length--
    return first.slice(0, length)
  }

  matches(topic: string): boolean {
    if (this.topics.has(topic)) return true
    if (this.#split.length === 0) return false
    if (this.#isAll && !isOwn(topic)) return true
    const segments = topic.split('/')
    return this.#split.some((pattern) => matches(pattern, segments))
  }

  /** Returns `matches` with a memory, for many entries of few topics: compares each topic with the patterns once. */
  memoizedMatcher(): (topic: string) => boolean {
    if (this.#split.length === 0 || this.#isAll) return (topic) => this.matches(topic) // as cheap as the memory
    const known = new Map<string, boolean>()
    return (topic) => {
      const isKnown = known.get(topic)
      if (isKnown !== undefined) return isKnown
      const isMatch = this.matches(topic)
      known.set(topic, isMatch)
      return isMatch
    }
  }
}

function isWord(segment: string, index: number): boolean {
  return SEGMENT.test(segment) || (index === 0 && OWN_SEGMENT.test(segment))
}

function split(
  noun: string,
  code: Code,
  text: string,
  limits: Pick<TopicLimits, 'maxTopicBytes' | 'maxTopicSegments'>,
): readonly string[] {
  const { maxTopicBytes, maxTopicSegments } = limits
  const cannot = (code: Code, why: string) => new AppError(code, `Cannot use ${quote(text)} as a ${noun}: ${why}`)
  if (text === '') throw cannot(code, `it is empty, expected ${ALPHABET}`)
  if (text.length > maxTopicBytes)
    throw cannot('topic_too_long', `it has ${text.length} characters, at most ${maxTopicBytes}`)
  const segments = text.split('/')
  if (segments.length > maxTopicSegments)
    throw cannot('topic_too_long', `it has ${segments.length} segments, at most ${maxTopicSegments}`)
  return segments
}
