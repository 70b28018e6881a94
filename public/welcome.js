import { copyFrom } from './copy.js'
import { isSignedIn } from './login.js'
import { exampleOf } from './topics.js'

/** What to do first: a line for the terminal, and a second window. It is shown until messages have arrived. */
export function createWelcome(card) {
  const line = card.querySelector('#curl')
  const copy = card.querySelector('#copy-curl')
  copy.addEventListener('click', () => copyFrom(copy, line.textContent))
  card
    .querySelector('#second')
    .addEventListener('click', () => open(location.href, '_blank', 'popup,width=480,height=720'))

  return {
    watch(topics) {
      line.textContent = lineFor(topics)
    },
    show(isShown) {
      if (card.hidden === isShown) card.hidden = !isShown
    },
  }
}

function lineFor([topic]) {
  const address = new URL('send', location.href)
  const curl = isSignedIn() ? 'curl -H "authorization: Bearer $TOKEN"' : 'curl'
  if (topic === undefined) return `${curl} '${address}?message=hello'`
  return `${curl} -d data=hello '${address}?topic=${exampleOf(topic).replaceAll("'", '')}'`
}
