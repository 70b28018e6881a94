import { sendMessage } from './send.js'
import { onlyTopic, suggestedTopic } from './topics.js'

/** The form that sends messages: to the watched topic, or to the topic in its own field if several are watched. */
export function createComposer(form, whenSent) {
  const message = form.querySelector('#message')
  const label = form.querySelector('label[for="message"]')
  const destination = form.querySelector('#destination')
  const to = form.querySelector('#to')
  const destinations = form.querySelector('#destinations')
  const error = form.querySelector('#send-error')
  const sent = form.querySelector('#sent')
  let topics = []
  let sending = false

  const target = () => (topics.length === 0 ? null : (onlyTopic(topics) ?? to.value.trim()))

  async function send() {
    if (sending) return
    sending = true
    form.setAttribute('aria-busy', 'true')
    clearOutcome()
    const text = message.value
    const topic = target()
    const { id, refusal } = await sendMessage(topic, text)
    sending = false
    form.removeAttribute('aria-busy')
    if (refusal) {
      showRefusal(refusal)
    } else {
      // Text typed while the message was being sent is the next message.
      if (message.value === text) message.value = ''
      // A message to a topic of the sender's choice may not be in the list, so say that it was sent.
      if (!destination.hidden) sent.textContent = `Sent to ${topic} as ${id}`
      whenSent()
    }
    if (to.getAttribute('aria-invalid')) to.focus()
    else if (document.activeElement !== to) message.focus()
  }

  function showRefusal({ detail, code }) {
    const field = code.startsWith('topic_') && !destination.hidden ? to : message
    field.setAttribute('aria-invalid', 'true')
    error.textContent = detail
    if (!code) return
    const tag = document.createElement('code')
    tag.textContent = code
    error.append(' ', tag)
  }

  function clearOutcome() {
    for (const field of [to, message]) field.removeAttribute('aria-invalid')
    error.textContent = ''
    sent.textContent = ''
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    send()
  })
  message.addEventListener('keydown', (event) => {
    // While a word is being composed, as in Japanese, Enter ends the composition and sends nothing.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  form.addEventListener('input', clearOutcome)

  return {
    watch(watched) {
      topics = watched
      const only = onlyTopic(topics)
      const needsTopic = topics.length > 0 && only === null
      destination.hidden = !needsTopic
      to.required = needsTopic
      to.value = needsTopic ? suggestedTopic(topics) : ''
      destinations.replaceChildren(...topics.filter((topic) => onlyTopic([topic])).map((topic) => new Option(topic)))
      label.textContent = only === null ? 'Message' : `Message to ${only}`
      clearOutcome()
    },
  }
}
