import { moveByArrows } from './arrows.js'
import { connect } from './client.js'
import { createComposer } from './composer.js'
import { createList } from './list.js'
import { createLogin } from './login.js'
import { closedRow, gapRow } from './notice.js'
import { dayOf, dayRow, messageRow } from './row.js'
import { createRunView } from './run.js'
import { createStateView } from './state.js'
import { timeAgo } from './time-ago.js'
import { nameOf, onlyTopic, pageAddress, parseList, watchedIn } from './topics.js'
import { watchDemo } from './watch-demo.js'
import { watchTopics } from './watch-topics.js'
import { createWelcome } from './welcome.js'

const byId = (id) => document.getElementById(id)

const hub = connect({ url: '.', shared: true })
const stateView = createStateView(byId('state'), byId('retry'))
const list = createList({
  log: byId('log'),
  list: byId('messages'),
  newest: byId('newest'),
  pause: byId('pause'),
  onPause: stateView.paused,
})
const composer = createComposer(byId('send'), hub, { whenSent: list.follow, watchToo })
const runView = createRunView(byId('run'), hub)
const welcome = createWelcome(byId('welcome'))
const login = createLogin(byId('login'), byId('logout'), hub, () => watch(watched))
moveByArrows(byId('log'))

let watched = []
let stream
let heardAt = null
let day
let lastNotice
let isEmpty = true
let messages = 0

function watch(topics) {
  const former = stream
  watched = topics
  heardAt = null
  day = dayOf(new Date())
  lastNotice = undefined
  isEmpty = true
  messages = 0
  list.clear()
  login.hide()
  composer.watch(topics)
  welcome.watch(topics)
  welcome.show(false)
  runView.watch(onlyTopic(topics))
  runView.live(false)
  byId('empty').hidden = true
  byId('topic').value = topics.join(', ')
  byId('topic').removeAttribute('aria-invalid')
  document.title = topics.length === 0 ? 'Tidings' : `${nameOf(topics)} · Tidings`
  showHeard()

  watching = {}
  const watcher = onlyWhile(watching, watcherOf(topics))
  stream = topics.length === 0 ? watchDemo(hub, watcher) : watchTopics(hub, topics, watcher)
  // After the new one has begun, so that the stream of the tabs goes on with other topics.
  former?.end()
}

let watching

/** The watcher of a stream that has been left is not heard any more. */
function onlyWhile(mine, watcher) {
  const guarded = ([name, call]) => [name, (...given) => watching === mine && call(...given)]
  return Object.fromEntries(Object.entries(watcher).map(guarded))
}

function watcherOf(topics) {
  const withTopic = topics.length > 0 && onlyTopic(topics) === null
  return {
    state(state, detail, code, retryAt) {
      const needsToken = state === 'refused' && isAboutToken(code)
      const words = code === 'forbidden' ? 'Your token does not allow this topic.' : 'This hub needs a token.'
      stateView.connection(state, needsToken ? words : detail, retryAt)
      list.over(state === 'refused' || state === 'closed')
      runView.live(state === 'live')
      if (state === 'live') wentLive(topics)
      if (state === 'closed') composer.closed()
      if (state === 'refused') refused(detail, code)
    },
    heard(at) {
      heardAt = Math.max(heardAt ?? 0, at)
      showHeard()
    },
    entry(entry) {
      stateView.message()
      lastNotice = undefined
      const entryDay = dayOf(entry.at)
      if (entryDay !== day) add(dayRow(entryDay))
      day = entryDay
      add(messageRow(entry, withTopic))
      messages++
      // The demo stream always has its first message.
      welcome.show(topics.length === 0 && messages === 1)
      runView.arrived()
    },
    gap(gap) {
      stateView.gap()
      // Until the next message moves the position, each reconnection reports the same gap.
      const notice = JSON.stringify(gap)
      if (notice === lastNotice) return
      lastNotice = notice
      add(gapRow(gap))
    },
    closed(closed) {
      add(closedRow(closed))
      welcome.show(false)
      if (closed.topic === onlyTopic(topics)) runView.watch(null)
    },
  }
}

function wentLive(topics) {
  login.accepted()
  composer.recovered()
  if (!isEmpty || topics.length === 0) return
  byId('empty').hidden = false
  byId('empty').textContent = `Waiting for new messages on ${nameOf(topics)}.`
  welcome.show(true)
}

function refused(detail, code) {
  byId('empty').hidden = true
  welcome.show(false)
  if (isAboutToken(code)) login.show(detail, code)
  else byId('topic').setAttribute('aria-invalid', 'true')
}

const isAboutToken = (code) => /^(token|ticket|key)_|^forbidden$|^http_40[13]$/.test(code)

function add(row) {
  isEmpty = false
  byId('empty').hidden = true
  list.add(row)
}

function showHeard() {
  // The demo stream sends every second, topics only when there is a message.
  const what = watched.length === 0 ? 'last heard' : 'last message'
  const words = heardAt === null ? '' : `${what} ${timeAgo(heardAt, Date.now())}`
  if (byId('heard').textContent !== words) byId('heard').textContent = words
}

/** Watches topics under an address of their own. */
function goTo(topics) {
  if (topics.join() !== watchedIn(location.search).join()) history.pushState(null, '', pageAddress(topics))
  watch(topics)
}

function watchToo(topic) {
  goTo([...watched, topic])
  byId('message').focus()
}

byId('watch').addEventListener('submit', (event) => {
  event.preventDefault()
  byId('help').open = false
  goTo(parseList(byId('topic').value))
})

byId('help').addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return
  byId('help').open = false
  byId('help').querySelector('summary').focus()
})

setInterval(() => {
  showHeard()
  stateView.check()
  stream.check()
  runView.check()
}, 1_000)
byId('logout').addEventListener('click', () => {
  byId('help').open = false
})
addEventListener('popstate', () => watch(watchedIn(location.search)))
addEventListener('pageshow', () => stream.check())
addEventListener('online', () => stream.check())
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return
  stream.check()
  runView.check()
})

watch(watchedIn(location.search))
