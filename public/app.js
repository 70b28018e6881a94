import { createComposer } from './composer.js'
import { heardWords } from './heard.js'
import { createList } from './list.js'
import { createLogin } from './login.js'
import { closedRow, dayOf, dayRow, gapRow, messageRow } from './row.js'
import { createStateView } from './state.js'
import { openStream } from './stream.js'
import { pageAddress, parseList } from './topics.js'

const byId = (id) => document.getElementById(id)

const stateView = createStateView(byId('state'))
const list = createList({ log: byId('log'), list: byId('messages'), newest: byId('newest') })
const composer = createComposer(byId('send'), list.follow)
const login = createLogin(byId('login'), () => {
  byId('options').open = false
  watch(parseList(byId('topic').value), parseList(byId('names').value))
})
let stream
let heardAt = null
let day
let lastNotice

function watch(topics, names) {
  stream?.end()
  list.clear()
  composer.watch(topics)
  heardAt = null
  day = dayOf(new Date())
  lastNotice = undefined
  byId('topic').value = topics.join(', ')
  byId('names').value = names.join(', ')
  byId('empty').hidden = false
  byId('empty').textContent = topics.length === 0 ? 'No messages yet.' : `No messages yet on ${topics.join(', ')}.`
  document.title = topics.length === 0 ? 'Tidings' : `${topics.join(', ')} · Tidings`
  history.replaceState(null, '', pageAddress(topics, names))
  showHeard()

  stream = openStream(
    { topics, names },
    {
      state: stateView.connection,
      heard() {
        heardAt = Date.now()
        showHeard()
      },
      entry(entry) {
        stateView.message()
        lastNotice = undefined
        const entryDay = dayOf(entry.at)
        if (entryDay !== day) add(dayRow(entryDay))
        day = entryDay
        add(messageRow(entry))
      },
      gap(gap) {
        stateView.gap()
        // Until the next message moves the position, each reconnection reports the same gap.
        const notice = JSON.stringify(gap)
        if (notice === lastNotice) return
        lastNotice = notice
        add(gapRow(gap))
      },
      closed: (topic) => add(closedRow(topic)),
      unauthorized() {
        login.show()
        byId('options').open = true
      },
    },
  )
}

function add(row) {
  byId('empty').hidden = true
  list.add(row)
}

function showHeard() {
  const words = heardWords(heardAt, Date.now())
  if (byId('heard').textContent !== words) byId('heard').textContent = words
}

byId('watch').addEventListener('submit', (event) => {
  event.preventDefault()
  byId('options').open = false
  watch(parseList(byId('topic').value), parseList(byId('names').value))
})

byId('options').addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return
  byId('options').open = false
  byId('options').querySelector('summary').focus()
})

setInterval(() => {
  showHeard()
  stream.tick()
}, 1_000)
addEventListener('pageshow', () => stream.check())
addEventListener('online', () => stream.check())
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) stream.check()
})

const query = new URLSearchParams(location.search)
watch(parseList(query.getAll('topic').join(' ')), parseList(query.getAll('event').join(' ')))
