const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g

/** Whether a text is a JSON object or array. */
export function isJson(text) {
  if (!/^\s*[{[]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Indents JSON. Numbers, escapes and the order of members stay as they were written, which parsing would change. */
export function indent(json) {
  let depth = 0
  const line = () => `\n${'  '.repeat(depth)}`
  return json
    .match(tokens)
    .map((token, i, all) => {
      if (token === ':') return ': '
      if (token === ',') return `,${line()}`
      if (token === '{' || token === '[') {
        if (isEnd(all[i + 1])) return token
        depth++
        return token + line()
      }
      if (!isEnd(token) || isBegin(all[i - 1])) return token
      depth--
      return line() + token
    })
    .join('')
}

const isBegin = (token) => token === '{' || token === '['
const isEnd = (token) => token === '}' || token === ']'
