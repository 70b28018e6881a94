/** Whether this browser has signed in. The cookie itself cannot be seen by scripts. */
const mark = 'tidings signed in'

const storage = storageOf()

/** Whether this browser has signed in, as far as scripts know. */
export const isSignedIn = () => (storage?.getItem(mark) ?? null) !== null

/** The storage of this origin. A browser whose settings block site data has none, and throws; it keeps no sign-in cookie either. */
function storageOf() {
  try {
    return localStorage
  } catch {
    return null
  }
}

const dropped =
  'The token is valid, but your browser did not keep the sign-in cookie: it keeps it only for https, or for localhost on this computer. Open the page there, and check that your browser does not block cookies.'

const signedIn = 'You are signed in. Enter a topic above that your token allows, or sign in with another token.'

/** What a refusal means for somebody with a browser, where its detail speaks of requests. */
const reasons = { token_missing: 'It shows messages only to those who have a token.' }

/** The card that exchanges a token for a login cookie, shown when the hub refuses a request without a token. */
export function createLogin(card, logout, hub, whenDone) {
  const token = card.querySelector('#token')
  const why = card.querySelector('#login-why')
  const title = card.querySelector('#login-title')
  const error = card.querySelector('#login-error')
  let hasJustSignedIn = false

  async function request(method, headers) {
    error.textContent = ''
    try {
      await hub.request('login', { method, headers, signal: AbortSignal.timeout(15_000) })
      token.value = ''
      hasJustSignedIn = method === 'POST'
      remember(hasJustSignedIn)
      whenDone()
    } catch ({ status, message }) {
      error.textContent = status ? message : 'The server could not be reached.'
    }
  }

  function remember(isSignedIn) {
    if (isSignedIn) storage?.setItem(mark, `${Date.now()}`)
    else storage?.removeItem(mark)
    showLogout()
  }

  function showLogout() {
    logout.hidden = !isSignedIn()
  }

  card.addEventListener('submit', (event) => {
    event.preventDefault()
    // A token has only visible ASCII characters; a header could not hold others.
    request('POST', { authorization: `Bearer ${token.value.replace(/[^\x21-\x7e]/g, '')}` })
  })
  logout.addEventListener('click', () => request('DELETE', {}))
  // Another tab has signed in or out.
  addEventListener('storage', ({ key }) => {
    if (key !== mark) return
    showLogout()
    whenDone()
  })
  showLogout()

  return {
    show(detail, code) {
      card.hidden = false
      const hasToken = code === 'forbidden' && isSignedIn()
      title.textContent = hasToken ? 'Choose a topic' : 'Sign in to this hub'
      why.textContent = hasToken
        ? `${detail.replace('"$store"', 'to the demo stream')}. ${signedIn}`
        : (reasons[code] ?? detail)
      if (hasJustSignedIn && code === 'token_missing') {
        error.textContent = dropped
        remember(false)
      }
      hasJustSignedIn = false
    },
    hide() {
      card.hidden = true
      error.textContent = ''
    },
    accepted() {
      hasJustSignedIn = false
    },
  }
}
