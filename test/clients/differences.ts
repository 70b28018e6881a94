import type { Heard } from './clients.ts'

const SHOWN_CHARS = 100

/** Describes the first event that is not as expected, because nobody could read a diff of 100,000 events. */
export function differences(heard: readonly Heard[], expected: readonly Heard[]): string[] {
  for (let at = 0; at < Math.max(heard.length, expected.length); at++) {
    const [is, should] = [heard[at], expected[at]]
    if (is && should && [0, 1, 2].every((part) => is[part] === should[part])) continue
    const from = is && should ? commonLength(is[1], should[1]) : 0
    return [`event ${at} of ${expected.length} is ${shown(is, from)}, not ${shown(should, from)}`]
  }
  return []
}

/** An event in ASCII; of long data only the part around an index. */
export function shown(event: Heard | undefined, around = 0): string {
  if (!event) return 'none'
  const [name, data, id] = event
  const start = Math.max(0, around - SHOWN_CHARS / 2)
  const part = data.slice(start, start + SHOWN_CHARS)
  const place = part.length < data.length ? ` (from ${start} of ${data.length})` : ''
  return `${escaped(name)} ${escaped(part)}${place} ${id}`
}

function commonLength(one: string, other: string): number {
  let length = 0
  while (length < one.length && one[length] === other[length]) length++
  return length
}

function escaped(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
