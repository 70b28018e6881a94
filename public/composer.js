import { matches } from './client.js'
import { makeButton } from './element.js'
import { sendMessage } from './send.js'
import { suggestTopics } from './suggestions.js'
import { exampleOf, isPattern, onlyTopic } from './topics.js'

/** Milliseconds after which the form says that it is still sending. */
const slowMs = 1_000

/**
 * The form that sends messages: to the watched topic, or to the topic in its own field if several are watched.
 *
 * @param watchToo called with a topic that the person wants to watch beside the others
 */
export function createComposer(form, hub, { whenSent, watchToo }) {
  const message = form.querySelector('#message')
  const label = form.querySelector('label[for="message"]')
  const destination = form.querySelector('#destination')
  const to = form.querySelector('#to')
  const destinations = form.querySelector('#destinations')
  const error = form.querySelector('#send-error')
  const sent = form.querySelector('#sent')
  let topics = []
  let sending = false
  let isUnreachable = false
  /** The last message, if the server may have it: `{ topic, text, key }`. Sent again with its key, it arrives only once. */
  let unsure

  const target = () => (topics.length === 0 ? null : (onlyTopic(topics) ?? to.value.trim()))

  async function send() {
    if (sending) return
    sending = true
    form.setAttribute('aria-busy', 'true')
    clearOutcome()
    const text = message.value
    const topic = target()
    const slow = setTimeout(() => {
      sent.textContent = 'Sending…'
    }, slowMs)
    const isAgain = unsure?.topic === topic && unsure.text === text
    const { id, refusal, key } = await sendMessage(hub, topic, text, isAgain ? unsure.key : undefined)
    clearTimeout(slow)
    sent.textContent = ''
    sending = false
    form.removeAttribute('aria-busy')
    unsure = key && { topic, text, key }
    if (refusal) {
      showRefusal(refusal)
    } else {
      // Text typed while the message was being sent is the next message.
      if (message.value === text) message.value = ''
      if (!destination.hidden) showSent(topic, id)
      whenSent()
    }
    if (to.getAttribute('aria-invalid')) to.focus()
    else if (document.activeElement !== to) message.focus()
  }

  /** Says that a message was sent to a topic of the sender's choice, which may not be among the watched ones. */
  function showSent(topic, id) {
    sent.textContent = `Sent to ${topic} as ${id}`
    if (topics.some((watched) => matches(watched, topic))) return
    sent.append(
      ' ',
      makeButton('link', `Watch ${topic}`, () => watchToo(topic)),
    )
  }

  function showRefusal({ detail, code }) {
    const field = code.startsWith('topic_') && !destination.hidden ? to : message
    field.setAttribute('aria-invalid', 'true')
    error.textContent = detail
    isUnreachable = !code
    if (!code) return
    const tag = document.createElement('code')
    tag.textContent = code
    error.append(' ', tag)
  }

  function clearOutcome() {
    for (const field of [to, message]) field.removeAttribute('aria-invalid')
    error.textContent = ''
    sent.textContent = ''
    isUnreachable = false
  }

  async function suggest() {
    const watched = topics
    const found = await suggestTopics(hub, watched)
    if (watched === topics) destinations.replaceChildren(...found.map((topic) => new Option(topic)))
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    send()
  })
  message.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || isComposing(event)) return
    event.preventDefault()
    form.requestSubmit()
  })
  form.addEventListener('input', () => {
    clearOutcome()
    unsure = undefined
  })
  to.addEventListener('focus', suggest)

  return {
    watch(watched) {
      topics = watched
      message.disabled = form.querySelector('[type="submit"]').disabled = false
      message.placeholder = ''
      const only = onlyTopic(topics)
      const needsTopic = topics.length > 0 && only === null
      destination.hidden = !needsTopic
      to.required = needsTopic
      const exact = topics.filter((topic) => !isPattern(topic))
      to.value = exact.length === 1 ? exact[0] : ''
      to.placeholder = needsTopic ? `for example ${exact[0] ?? exampleOf(topics[0])}` : ''
      destinations.replaceChildren()
      label.textContent = only === null ? 'Message' : `Message to ${only}`
      clearOutcome()
    },
    /** Nothing more can be sent to the watched topic. */
    closed() {
      if (topics.length > 0 && onlyTopic(topics) === null) return
      message.disabled = true
      message.placeholder = 'Closed: nothing more can be sent'
      form.querySelector('[type="submit"]').disabled = true
    },
    /** The hub is reached again, so an error that says otherwise is not true any more. */
    recovered() {
      if (isUnreachable) clearOutcome()
    },
  }
}

/**
 * While a word is being composed, as in Japanese, Enter ends the composition and sends nothing. Safari ends the composition before that
 * Enter, which has the key code 229 then.
 */
const isComposing = ({ isComposing, keyCode }) => isComposing || keyCode === 229
