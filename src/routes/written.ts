import { isObject } from './json.ts'

/** Codes of the characters that structure JSON. */
const QUOTE = 0x22
const COMMA = 0x2c
const LIST = { begin: 0x5b, end: 0x5d }
const BACKSLASH = 0x5c
const OBJECT = { begin: 0x7b, end: 0x7d }

/**
 * Returns a parsed message whose `data` is its text in `json`, without insignificant whitespace. The text keeps numbers that no double
 * holds, the order of members, and escapes. A `data` that is a string stays as it was parsed.
 *
 * @param message the result of `JSON.parse(json)`
 */
export function messageAsWritten(message: unknown, json: string): unknown {
  return hasValueAsData(message) ? { ...message, data: writtenMembers(json, 'data')[0] } : message
}

/** Like `messageAsWritten`, for each message of a list. */
export function messagesAsWritten(messages: readonly unknown[], json: string): readonly unknown[] {
  if (!messages.some(hasValueAsData)) return messages
  const all = writtenMembers(json, 'data')
  return messages.map((message, i) => (hasValueAsData(message) ? { ...message, data: all[i] } : message))
}

function hasValueAsData(message: unknown): message is Record<string, unknown> {
  return isObject(message) && Object.hasOwn(message, 'data') && typeof message.data !== 'string'
}

/**
 * Returns the text of the named member of an object, or of each object of a list, without insignificant whitespace.
 *
 * - Undefined stands for an object without the member, and for a member that is a string.
 * - As in `JSON.parse`, the last of duplicate members counts, and names may be escaped.
 * - The scan reads the text once, and values with whitespace twice.
 *
 * @param json a text that `JSON.parse` accepts
 */
export function writtenMembers(json: string, name: string): (string | undefined)[] {
  return new Scanner(json).members(name)
}

/** Returns the text of each value of a list, or of the one value that is no list, without insignificant whitespace. */
export function writtenValues(json: string): string[] {
  return new Scanner(json).values()
}

class Scanner {
  readonly #json: string
  #at = 0
  /** Whether the value that was skipped last has whitespace outside of its strings. */
  #isSpaced = false

  constructor(json: string) {
    this.#json = json
  }

  members(name: string): (string | undefined)[] {
    if (this.#next() !== LIST.begin) return [this.#member(name)]
    const all: (string | undefined)[] = []
    this.#at++
    if (this.#next() === LIST.end) return all
    do all.push(this.#member(name))
    while (this.#take() === COMMA)
    return all
  }

  values(): string[] {
    if (this.#next() !== LIST.begin) return [this.#value()]
    const all: string[] = []
    this.#at++
    if (this.#next() === LIST.end) return all
    do all.push(this.#value())
    while (this.#take() === COMMA)
    return all
  }

  #value(): string {
    this.#next()
    const begin = this.#at
    this.#skipValue()
    return this.#isSpaced ? withoutWhitespace(this.#json, begin, this.#at) : copied(this.#json, begin, this.#at)
  }

  /** Skips a value. If it is an object, returns the text of its member. */
  #member(name: string): string | undefined {
    if (this.#next() !== OBJECT.begin) return this.#skipValue()
    let begin = 0
    let end = 0
    let isSpaced = false
    this.#at++
    if (this.#next() === OBJECT.end) return void this.#at++
    do {
      const isNamed = this.#name() === name
      this.#take() // the colon
      this.#next()
      const from = this.#at
      this.#skipValue()
      if (isNamed) [begin, end, isSpaced] = [from, this.#at, this.#isSpaced]
    } while (this.#take() === COMMA)
    if (end === 0 || this.#json.charCodeAt(begin) === QUOTE) return
    return isSpaced ? withoutWhitespace(this.#json, begin, end) : copied(this.#json, begin, end)
  }

  #name(): string {
    this.#next()
    const begin = this.#at
    this.#at = endOfString(this.#json, begin)
    const raw = this.#json.slice(begin + 1, this.#at - 1)
    return raw.includes('\\') ? JSON.parse(`"${raw}"`) : raw
  }

  #skipValue(): undefined {
    const first = this.#next()
    this.#isSpaced = false
    if (first === QUOTE) this.#at = endOfString(this.#json, this.#at)
    else if (first === OBJECT.begin || first === LIST.begin) this.#skipStructure()
    else this.#at = endOfWord(this.#json, this.#at)
  }

  /** Skips an object or a list. Its depth is counted: deep nesting would overflow the stack of a recursive function. */
  #skipStructure(): void {
    const json = this.#json
    let at = this.#at
    let depth = 0
    do {
      const code = json.charCodeAt(at)
      if (code === QUOTE) {
        at = endOfString(json, at)
        continue
      }
      at++
      if (code === OBJECT.begin || code === LIST.begin) depth++
      else if (code === OBJECT.end || code === LIST.end) depth--
      else if (isWhitespace(code)) this.#isSpaced = true
    } while (depth > 0)
    this.#at = at
  }

  /** Skips whitespace, and returns the next character, which stays unread. */
  #next(): number {
    while (isWhitespace(this.#json.charCodeAt(this.#at))) this.#at++
    return this.#json.charCodeAt(this.#at)
  }

  /** Skips whitespace, and reads the next character. */
  #take(): number {
    const next = this.#next()
    this.#at++
    return next
  }
}

/** Returns the index after a string, whose opening quote is at `begin`. */
function endOfString(json: string, begin: number): number {
  for (let quote = json.indexOf('"', begin + 1); ; quote = json.indexOf('"', quote + 1)) {
    let backslashes = 0
    while (json.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return quote + 1
  }
}

/** Returns the index after a number, `true`, `false` or `null` that begins at `begin`. */
function endOfWord(json: string, begin: number): number {
  let at = begin
  let code: number
  do code = json.charCodeAt(++at)
  while (at < json.length && code !== COMMA && code !== OBJECT.end && code !== LIST.end && !isWhitespace(code))
  return at
}

/** Copies a value without the whitespace outside of its strings. */
function withoutWhitespace(json: string, begin: number, end: number): string {
  const parts: string[] = []
  let from = begin
  const add = (to: number) => parts.push(json.slice(from, to).replace(/[ \n\r\t]+/g, ''))
  for (let quote = json.indexOf('"', begin); quote >= 0 && quote < end; quote = json.indexOf('"', from)) {
    add(quote)
    from = endOfString(json, quote)
    parts.push(json.slice(quote, from))
  }
  add(end)
  return copied(parts.join(''))
}

/** Copies characters to a new string. A slice would hold the whole text in memory for as long as the log keeps the message. */
export function copied(text: string, begin = 0, end = text.length): string {
  return [text.slice(begin, begin + 1), text.slice(begin + 1, end)].join('') // engines copy two parts, and reuse the slice of one
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}
