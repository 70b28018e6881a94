import { connect } from '/live/client.js'

const stories = document.querySelector('#stories')
const template = document.querySelector('template')
/** When this reader was here last: later stories are new. */
const lastVisit = localStorage.lastVisit ?? new Date().toISOString()
let unseen = 0

// All tabs share one stream. After an outage it goes on where it was: no story is missed, and none is shown twice.
connect({ url: '/live', shared: true }).subscribe('news/*', {
  last: 50,
  onEvent: show,
  onGap() {
    document.querySelector('#gap').hidden = false
  },
  onState({ state }) {
    document.body.dataset.state = state
  },
})

/** Shows a story on top; one that is told again, with the same slug, is corrected where it is. */
function show({ topic, event, data, time }) {
  const { slug, title, text } = JSON.parse(data)
  const known = document.getElementById(slug)
  const story = known ?? template.content.firstElementChild.cloneNode(true)
  story.id = slug
  story.classList.toggle('breaking', event === 'breaking')
  story.classList.toggle('new', time > lastVisit)
  story.querySelector('.section').textContent = topic.split('/')[1]
  story.querySelector('h2').textContent = title
  story.querySelector('.text').textContent = text
  story.querySelector('time').textContent = `${known ? 'Corrected ' : ''}${new Date(time).toLocaleTimeString()}`
  if (!known) stories.prepend(story)
  stories.querySelector(':scope > .quiet')?.remove()
  localStorage.lastVisit = time
  if (document.hidden) document.title = `(${++unseen}) News`
}

document.addEventListener('visibilitychange', () => {
  unseen = 0
  document.title = 'News'
})
