import { connect } from '/live/client.js'

const [outcome, progress, told, stop] = ['#outcome', 'progress', '#told', '#stop'].map((name) =>
  document.querySelector(name),
)
const topic = location.hash.slice(1)
const says = {
  done: 'Done',
  stopped: 'Stopped',
  failed: 'Failed',
  abandoned: 'The server of this job has died: start it again',
}

if (topic)
  connect({ url: '/live', shared: true }).subscribe(topic, {
    last: 2,
    onEvent({ data }) {
      const { files, of, name } = JSON.parse(data)
      Object.assign(progress, { value: files, max: of })
      told.textContent = `${files} of ${of} files: ${name}`
    },
    onClosed(closed) {
      outcome.textContent = [says[closed.outcome] ?? 'Over', closed.detail].filter(Boolean).join(': ')
      stop.disabled = true
    },
    onGap() {}, // each event says all
    onState: ({ state }) => Object.assign(document.body.dataset, { state }),
  })

stop.onclick = () => fetch(`/live/stop?topic=${topic}`, { method: 'POST' })
addEventListener('hashchange', () => location.reload())
for (const button of document.querySelectorAll('form button'))
  button.onclick = async () => {
    const job = await (await fetch(`/jobs/${button.value}`, { method: 'POST' })).json()
    location.hash = job.topic
  }
