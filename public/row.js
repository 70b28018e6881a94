const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' })
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' })

const gapReasons = {
  trimmed: 'the server no longer keeps messages that old.',
  epoch: 'the server has started with a new log, and earlier messages are gone.',
  unknown: 'the server does not know the position this page had reached.',
  ahead: 'this page had read further than the server remembers.',
}

export const dayOf = (at) => calendar.format(at)

export function messageRow({ id, text, at, name }) {
  const row = make('li', 'message')
  row.dataset.id = id
  row.append(timeOf(at))
  const content = make('div', 'content')
  if (name) content.append(make('span', 'name', name))
  const body = make('p', 'text', text)
  // The direction of a message's script may differ from the page's.
  body.dir = 'auto'
  content.append(body)
  if (isLong(text)) content.append(foldButton(body))
  row.append(content, make('span', 'id', id))
  return row
}

export function dayRow(day) {
  return make('li', 'day', day)
}

export function gapRow({ reason, from, to, exact }) {
  const row = make('li', 'notice gap')
  row.append(timeOf(new Date()))
  const content = make('div', 'content')
  const why = gapReasons[reason] ?? 'the server gave no reason this page knows.'
  content.append(make('p', '', `Some messages can no longer be delivered: ${why}`))
  const span = [from && `after ${from}`, to && `up to ${to}`].filter(Boolean).join(' ')
  if (span) content.append(make('p', 'span', exact === false ? `Missing at most: ${span}` : `Missing: ${span}`))
  row.append(content)
  return row
}

export function closedRow(topic) {
  const row = make('li', 'notice closed')
  row.append(timeOf(new Date()))
  const content = make('div', 'content')
  content.append(make('p', '', `${topic ?? 'A topic'} was closed. Nothing more will be sent to it.`))
  row.append(content)
  return row
}

function timeOf(at) {
  const time = make('time', '', clock.format(at))
  time.dateTime = at.toISOString()
  time.title = moment.format(at)
  return time
}

const isLong = (text) => text.length > 1500 || text.split('\n', 16).length > 15

function foldButton(body) {
  const button = make('button', 'fold', 'Show all')
  button.type = 'button'
  button.setAttribute('aria-expanded', 'false')
  body.classList.add('folded')
  button.addEventListener('click', () => {
    const folded = body.classList.toggle('folded')
    button.textContent = folded ? 'Show all' : 'Show less'
    button.setAttribute('aria-expanded', String(!folded))
  })
  return button
}

function make(tag, className, text = '') {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.textContent = text
  return element
}
