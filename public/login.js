import { readProblem } from './refusal.js'

/** The form that exchanges a token for a login cookie. It stays hidden until the hub refuses a request without a token. */
export function createLogin(form, whenDone) {
  const token = form.querySelector('#token')
  const error = form.querySelector('#login-error')

  async function request(method, headers) {
    error.textContent = ''
    try {
      const response = await fetch('login', { method, headers, signal: AbortSignal.timeout(15_000) })
      if (!response.ok) {
        error.textContent = (await readProblem(response)).detail
        return
      }
      token.value = ''
      whenDone()
    } catch {
      error.textContent = 'The server could not be reached.'
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    // A token has only visible ASCII characters; a header could not hold others.
    request('POST', { authorization: `Bearer ${token.value.replace(/[^\x21-\x7e]/g, '')}` })
  })
  form.querySelector('#logout').addEventListener('click', () => request('DELETE', {}))

  return {
    show() {
      form.hidden = false
    },
  }
}
