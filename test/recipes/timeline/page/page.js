import { connect } from '/live/client.js'

const me = new URL(location).searchParams.get('me') ?? 'ann'
const following = new Set(JSON.parse(localStorage[me] ?? '[]'))
const template = document.querySelector('template')
const posts = new Map()
const hub = connect({ url: '/live', shared: true })
const topicsOf = (...names) => names.flatMap((name) => [`posts/${name}`, `likes/${name}`])
const timeline = hub.subscribe(topicsOf(me, ...following), {
  last: 200,
  onEvent: take,
  onGap: () => say('You were away for longer than posts are kept: some are missing.'),
  onState({ state }) {
    document.body.dataset.state = state
  },
})

function take({ id, topic, data, time }) {
  const [kind, author] = topic.split('/')
  if (kind === 'likes') return addLike(JSON.parse(data))
  if (posts.has(id)) return
  const post = template.content.firstElementChild.cloneNode(true)
  post.querySelector('h2').textContent = `@${author}`
  post.querySelector('.text').textContent = data
  post.querySelector('time').textContent = new Date(time).toLocaleTimeString()
  // The key of a like names the post and the person: a second click changes nothing.
  post.querySelector('.like').onclick = () =>
    publish({ topic: `likes/${author}`, data: { post: id, by: me }, key: `${id}/${me}` })
  posts.set(id, Object.assign(post, { time, likes: new Set() }))
  const main = document.querySelector('main')
  main.insertBefore(post, [...main.children].find((other) => other.time <= time) ?? null)
}

function addLike({ post, by }) {
  if (!posts.has(post)) return
  const { size } = posts.get(post).likes.add(by)
  posts.get(post).querySelector('.like').textContent = `♥ ${size}`
}

/** What a hub that restarts does not take, the client sends again for up to 30 s. The hub publishes it once. */
async function publish(message) {
  say('')
  await hub.publish(message).catch((error) => say(error.message))
}

/** The open stream gets two topics more; a poll fetches what was posted before. */
async function follow(name) {
  localStorage[me] = JSON.stringify([...following.add(name)])
  await timeline.change(topicsOf(me, ...following))
  const query = new URLSearchParams([['last', 200], ...topicsOf(name).map((topic) => ['topic', topic])])
  const answer = await fetch(`/live/event?${query}`, { headers: { accept: 'application/json' } })
  for (const event of (await answer.json()).events) take(event)
  say('')
}

function say(text) {
  document.querySelector('#problem').textContent = text
  document.querySelector('#following').textContent = ['You follow nobody yet', ...following]
    .slice(following.size && 1)
    .join(', ')
}

document.querySelector('h1').textContent = `@${me}`
say('')
for (const [form, act] of [
  [document.forms.post, (text) => publish({ topic: `posts/${me}`, data: text })],
  [document.forms.follow, follow],
])
  form.onsubmit = (event) => {
    event.preventDefault()
    act(form[0].value)
    form.reset()
  }
