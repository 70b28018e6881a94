const PREFIX = /^(?:\/[\w.~-]+)+$/

/** Whether a text is a path that a proxy may strip: its segments need no quoting in a URL, a header or a cookie. */
export function isPathPrefix(text: string): boolean {
  return PREFIX.test(text)
}
