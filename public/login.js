import { readProblem } from './refusal.js'

/** The form that takes a token for the cookie of this page; it stays hidden where nobody has to say who they are. */
export function createLogin(form, whenDone) {
  const token = form.querySelector('#token')
  const told = form.querySelector('#login-told')

  async function ask(method, headers) {
    told.textContent = ''
    try {
      const response = await fetch('login', { method, headers, signal: AbortSignal.timeout(15_000) })
      if (!response.ok) {
        told.textContent = (await readProblem(response)).detail
        return
      }
      token.value = ''
      whenDone()
    } catch {
      told.textContent = 'The server could not be reached.'
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    // What a header cannot hold is no token.
    ask('POST', { authorization: `Bearer ${token.value.replace(/[^\x21-\x7e]/g, '')}` })
  })
  form.querySelector('#logout').addEventListener('click', () => ask('DELETE', {}))

  return {
    show() {
      form.hidden = false
    },
  }
}
