import { connect } from '/tidings/client.js'

const list = document.querySelector('ul')
const { user } = await (await fetch('/me')).json()

if (user) {
  document.body.dataset.user = user
  // All tabs of a user share one stream; the name keeps users of one browser apart.
  connect({ url: '/live', shared: user }).subscribe(`users/${user}`, {
    last: 50,
    onEvent({ event, data, time }) {
      if (event === 'order') add(JSON.parse(data), time)
      else for (const item of list.children) item.classList.remove('unread') // in all tabs, whichever was clicked
      document.querySelector('#unread').textContent = list.querySelectorAll('.unread').length || ''
    },
    onGap: () => add({ text: 'Older notifications are gone' }, new Date()),
    onState: ({ state }) => Object.assign(document.body.dataset, { state }),
  })
}

function add({ text }, time) {
  const item = document.createElement('li')
  item.className = 'card unread'
  item.title = new Date(time).toLocaleString()
  item.textContent = text
  list.prepend(item)
}

document.querySelector('main button').onclick = () => fetch('/read', { method: 'POST' })
