import { connect } from '/live/client.js'

const [tbody, titles] = ['tbody', 'thead tr'].map((selector) => document.querySelector(selector))
const rows = new Map()
let received = 0
let skips = 0

// The stream begins with the newest price of every name. A reader that was away or is slow gets the newest prices again, and not the way
// there; with `gaps` it is told so.
connect({ url: '/live' }).subscribe('prices/*', {
  from: 'earliest',
  latest: true,
  gaps: true,
  onEvent({ topic, data }) {
    const name = topic.split('/')[1]
    const { price } = JSON.parse(data)
    const row = rows.get(name) ?? { name, first: price, received: 0 }
    rows.set(name, Object.assign(row, { price, received: row.received + 1, isDrawn: false }))
    received++
  },
  onGap({ reason }) {
    if (reason !== 'epoch') skips++
    else {
      rows.clear() // the market was started again, with prices of its own
      tbody.replaceChildren()
    }
  },
  onState({ state }) {
    document.body.dataset.state = state
  },
})

/** Draws once a frame, however many prices have arrived. */
function draw() {
  for (const row of rows.values()) {
    if (row.isDrawn) continue
    row.isDrawn = true
    row.element ??= tbody.appendChild(titles.cloneNode(true))
    const percent = (100 * (row.price - row.first)) / row.first
    const change = `${percent < 0 ? '' : '+'}${percent.toFixed(2)} %`
    const texts = [row.name, (row.price / 100).toFixed(2), change, row.received]
    for (const [i, text] of texts.entries()) row.element.children[i].textContent = text
    row.element.className = percent < 0 ? 'down' : 'up'
  }
  document.querySelector('#received').textContent = received
  document.querySelector('#skips').textContent = skips
  requestAnimationFrame(draw)
}
draw()
