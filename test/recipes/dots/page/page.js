import { connect } from '/live/client.js'

const me = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, '0')).join('')
const topic = `dots/${me}`
const field = document.querySelector('main')
const dots = new Map()
const hub = connect({ url: '/live' })
let place
let isSent = true
let isSending = false

// A reader that is behind gets the newest place of each dot, and no dot's way there.
hub.subscribe('dots/*', {
  from: 'earliest',
  latest: true,
  onEvent({ topic, data }) {
    const [, id] = topic.split('/')
    if (id !== me) show(id, JSON.parse(data)) // our own dot is ahead of what the hub says
  },
  // The server was started again and knows no dots: all players tell it.
  onGap() {
    for (const id of dots.keys()) show(id, { left: true })
    move(place)
  },
  onState({ state }) {
    document.body.dataset.state = state
  },
})

function show(id, { x, y, left }) {
  const dot = dots.get(id) ?? field.appendChild(document.createElement('div'))
  dots.set(id, dot)
  clearTimeout(dot.timer)
  if (left) dots.delete(id, dot.remove())
  else {
    dot.className = id === me ? 'dot mine' : 'dot'
    dot.style = `--color: hsl(${Number.parseInt(id, 16) % 360} 75% 50%); left: ${x}%; top: ${y}%`
    dot.timer = setTimeout(show, 8000, id, { left: true }) // a player that crashed says no goodbye
  }
  document.querySelector('#count').textContent = dots.size
}

/** Sends the newest place, and one request at a time: a slow network skips places and never queues them. */
async function move(to) {
  if (!to) return
  place = to
  isSent = false
  show(me, place)
  if (isSending) return
  isSending = true
  while (!isSent) {
    isSent = true
    await hub.publish({ topic, data: place }, { timeoutMs: 1000 }).catch(() => {})
  }
  isSending = false
}

field.addEventListener('pointermove', ({ clientX, clientY }) => {
  const { left, top, width, height } = field.getBoundingClientRect()
  move({ x: Math.round((1000 * (clientX - left)) / width) / 10, y: Math.round((1000 * (clientY - top)) / height) / 10 })
})
setInterval(() => move(place), 3000)
addEventListener('pagehide', () => {
  const headers = { 'content-type': 'application/json' }
  fetch('/live/send', {
    method: 'POST',
    keepalive: true,
    headers,
    body: JSON.stringify({ topic, data: { left: true } }),
  })
})
