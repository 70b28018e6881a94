import { connect } from '/live/client.js'

const WINDOW_S = 60
const hosts = new Map()
const template = document.querySelector('template')

// The chart is full at once: the hub knows the last minute. After an outage the missing samples follow.
connect({ url: '/live', shared: true }).subscribe('metrics/*', {
  since: `${WINDOW_S}s`,
  onEvent({ topic, data, time }) {
    const name = topic.split('/')[1]
    if (!hosts.has(name)) hosts.set(name, { samples: [], card: addCard(name) })
    hosts.get(name).samples.push({ at: Date.parse(time), ...JSON.parse(data) })
  },
  onGap() {
    document.querySelector('#gap').hidden = false
  },
  onState({ state }) {
    document.body.dataset.state = state
  },
})

function addCard(name) {
  const card = template.content.firstElementChild.cloneNode(true)
  card.querySelector('h2').textContent = name
  return document.querySelector('main').appendChild(card)
}

setInterval(() => {
  const now = Date.now()
  for (const { samples, card } of hosts.values()) {
    while (samples.length > 1 && samples[0].at < now - 1000 * WINDOW_S) samples.shift()
    const { at, cpu, memory } = samples.at(-1)
    const silentS = Math.round((now - at) / 1000)
    card.classList.toggle('silent', silentS > 4)
    card.classList.toggle('alarm', cpu > 90 || silentS > 4)
    card.querySelector('p').textContent = silentS > 4 ? `Silent for ${silentS} s` : `CPU ${cpu} %, memory ${memory} %`
    for (const name of ['cpu', 'memory']) card.querySelector(`.${name}`).setAttribute('d', lineOf(samples, name, now))
  }
}, 500)

/** A line with a hole where nothing was measured for 3 s. */
function lineOf(samples, name, now) {
  const xOf = ({ at }) => 300 - (0.3 * (now - at)) / WINDOW_S
  const point = (sample, i) =>
    `${i === 0 || sample.at - samples[i - 1].at > 3000 ? 'M' : 'L'}${xOf(sample).toFixed(1)} ${100 - sample[name]}`
  return samples.map(point).join('')
}
