import { connect } from '/live/client.js'

const name = (new URL(location).searchParams.get('name') ?? 'guest').replace(/[^\w.-]/g, '-')
const nameOf = (topic) => topic.split('/')[1].split('~')[0]
const make = (tag, textContent, className = '') =>
  Object.assign(document.createElement(tag), { textContent, className })
const list = document.querySelector('#said')
const hub = connect({ url: '/live' })
hub.subscribe('rooms/lobby', {
  last: 100,
  onEvent({ data }) {
    const { by, text } = JSON.parse(data)
    line(text, by)
  },
  onGap: () => line('You were away for longer than messages are kept'),
  onState: ({ state }) => Object.assign(document.body.dataset, { state }),
})

// Each page has a run, whose lease it renews. The stream tells that somebody came or went, and how; the list of the runs tells who is here.
connect({ url: '/here' }).subscribe('lobby/*', {
  onEvent: ({ topic }) => tell(topic, 'joined'),
  onClosed: ({ topic, outcome }) => tell(topic, outcome === 'abandoned' ? 'has lost the connection' : 'left'),
  onOpen: showWhoIsHere,
  onGap: showWhoIsHere,
})

function tell(topic, what) {
  line(`${nameOf(topic)} ${what}`)
  showWhoIsHere()
}

async function showWhoIsHere() {
  const answer = await fetch('/here/runs?prefix=lobby/&limit=1000').catch(() => {})
  if (!answer?.ok) return // the stream opens again, or somebody else comes or goes
  const { runs } = await answer.json()
  const names = new Set(runs.filter(({ outcome }) => !outcome).map(({ topic }) => nameOf(topic)))
  document.querySelector('#here').replaceChildren(...[...names].map((name) => make('li', name)))
}

let mine = {}

/** Renews the lease of this page. If the hub has ended the run meanwhile, the page joins again. */
async function beat() {
  if (mine.token && (await run('PATCH')).status !== 409) return
  mine = { topic: `lobby/${name}~${crypto.randomUUID()}` }
  mine.token = (await (await run('POST', '?lease=6s&grace=0s')).json()).token
  await fetch(`/here/send?topic=${mine.topic}`, { method: 'POST', headers: { 'tidings-run': mine.token }, body: name })
}

function run(method, query = '', body = null) {
  const { token } = mine
  const headers = { ...(token && { 'tidings-run': token }), ...(body && { 'content-type': 'application/json' }) }
  return fetch(`/here/runs/${mine.topic}${query}`, { method, headers, body, keepalive: true })
}

addEventListener('pagehide', () => run('PATCH', '', '{"outcome":"done"}').catch(() => {}))

function line(text, by) {
  const item = list.appendChild(make('li', text, by ? 'said' : 'quiet'))
  if (by) item.prepend(make('strong', `${by}: `))
  list.scrollTop = list.scrollHeight
}

document.forms[0].onsubmit = (event) => {
  event.preventDefault()
  const message = { topic: 'rooms/lobby', data: { by: name, text: event.target[0].value } }
  hub.publish(message).catch((error) => line(error.message))
  event.target.reset()
}

for (;;) {
  await beat().catch(() => {}) // while the server is away; the next one tries again
  await new Promise((resolve) => setTimeout(resolve, 2000)) // browsers hold this up in tabs that are hidden for minutes
}
