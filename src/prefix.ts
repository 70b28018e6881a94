const PREFIX = /^(?:\/[\w.~-]+)+$/

/** Whether a text is a path that a proxy may strip: its segments need no quoting in a URL, a header or a cookie. */
export function isPathPrefix(text: string): boolean {
  return PREFIX.test(text)
}

/**
 * Returns the URL of a path with a slash at its end, relative to the path without one. It begins with `./`, because a segment that a client
 * chooses may read as a URL of another site: `https:evil.example`.
 */
export function withSlash(path: string): string {
  return `./${path.split('/').at(-1)}/`
}
