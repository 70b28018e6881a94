import { stopRun } from './client-runs.js'
import { topicAddress } from './topics.js'

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

/** Milliseconds between two looks at a run while messages arrive. */
const busyMs = 2_000

/** Milliseconds between two looks while nothing arrives: a topic may be claimed without a message. */
const idleMs = 3_000

/** Shows the run of a topic: until when its producer's lease lasts, and a button that asks the producer to stop. */
export function createRunView(element, hub) {
  const words = element.querySelector('.words')
  const stop = element.querySelector('button')
  let topic = null
  let isLive = false
  let askedAt = 0
  let dueAt = 0
  let newest = 0

  /** Looks at the run if it is time. A hub that refuses the stream would refuse this too, and a hidden tab shows it to nobody. */
  function check() {
    if (topic === null || !isLive || document.hidden || Date.now() < dueAt) return
    showAnswer(runOf(hub, topic)).catch(() => {}) // the state of the connection says it
  }

  /** Shows the run that the hub answers, unless something else was asked meanwhile: answers may overtake each other. */
  async function showAnswer(answer) {
    const mine = ++newest
    askedAt = Date.now()
    dueAt = askedAt + idleMs
    const run = await answer
    if (mine === newest) show(run)
  }

  function show(run) {
    const isActive = run !== undefined && run.outcome === undefined
    element.hidden = !isActive
    if (!isActive) return
    const end = Date.parse(run.leaseEnd)
    say(end > Date.now() ? `${doing(run)} (run ${run.fence}, lease until ${clock.format(end)})` : silent(end, run))
    stop.disabled = Boolean(run.isStopAsked)
  }

  function say(text) {
    if (words.textContent !== text) words.textContent = text
  }

  stop.addEventListener('click', async () => {
    stop.disabled = true
    try {
      await showAnswer(stopRun(hub, topic))
    } catch ({ status, message }) {
      say(status ? message : 'The server could not be reached. Nothing was stopped.')
      stop.disabled = false
    }
  })

  return {
    /** @param watched a topic; null where several are watched, and once the topic is closed */
    watch(watched) {
      topic = watched
      newest++
      dueAt = 0
      element.hidden = true
    },
    /** Whether the stream is live. */
    live(live) {
      isLive = live
      dueAt = 0
      check()
    },
    /** A message has arrived: a run may have begun, or have been renewed. */
    arrived() {
      dueAt = Math.min(dueAt, askedAt + busyMs)
      check()
    },
    /** Must be called every second, and when the page is shown. */
    check,
  }
}

const doing = ({ isStopAsked }) => (isStopAsked ? 'The producer was asked to stop' : 'A producer is at work')
const silent = (end, { graceMs }) =>
  `The producer has given no sign of life: its lease ended at ${clock.format(end)}. If none comes, the run ends at ${clock.format(end + graceMs)}`

/** The run of a topic. A topic that has none is no error here, as it is at `/runs`, which the browser would log every few seconds. */
async function runOf(hub, topic) {
  const response = await hub.request(topicAddress(topic))
  return (await response.json()).run
}
