/** What every answer has that does not say otherwise. */
export type Secure = Readonly<Record<string, string>>

/** @param isShared whether pages of other origins may use the hub */
export function secureHeaders(isShared: boolean): Secure {
  return {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': isShared ? 'cross-origin' : 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
}

/** What an answer that has them is known by. */
const complete = Symbol('complete')

/** Makes answers that have them from the start: to add them to one costs as much as to read the request. */
export function secureJson(secure: Secure): (value: unknown) => Response {
  const init = { headers: Object.freeze({ ...secure, 'Content-Type': 'application/json' }) }
  return (value) => {
    const response: Response & { [complete]?: true } = new Response(JSON.stringify(value), init)
    response[complete] = true
    return response
  }
}

/** Gives an answer what it does not say otherwise. */
export function secured(secure: Secure): (response: Response) => void {
  const all = Object.entries(secure)
  return (response) => {
    if (complete in response) return
    const { headers } = response
    for (const [name, value] of all) if (!headers.has(name)) headers.set(name, value)
  }
}
