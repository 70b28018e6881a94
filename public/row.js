import { copyFrom } from './copy.js'
import { make, makeButton } from './element.js'
import { indent, isJson } from './json.js'

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' })
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' })

/** Characters of JSON that are as easy to read in one line. */
const shortJson = 30

export const dayOf = (at) => calendar.format(at)

export const dayRow = (day) => make('li', 'day', day)

/** A row for a message. `withTopic` names the topic, which a reader of a pattern could not tell. */
export function messageRow({ id, topic, text, at, name }, withTopic) {
  const row = make('li', 'message')
  row.dataset.id = id
  row.append(timeOf(at))
  if (withTopic || name) row.append(tagsOf(withTopic ? topic : '', name))
  const content = make('div', 'content')
  content.append(...bodyOf(text))
  row.append(content)
  if (id) row.append(idButton(id))
  return row
}

export function timeOf(at) {
  const time = make('time', '', clock.format(at))
  time.dateTime = at.toISOString()
  time.title = moment.format(at)
  return time
}

function tagsOf(topic, name) {
  const tags = make('div', 'tags')
  if (topic) tags.append(make('span', 'topic', topic), ' ')
  if (name) tags.append(make('span', 'name', name))
  return tags
}

function bodyOf(text) {
  const body = make('p', 'text', text)
  // The direction of a message's script may differ from the page's.
  body.dir = 'auto'
  if (!isJson(text)) return isLong(text) ? [body, foldButton(body)] : [body]
  body.classList.add('json')
  return [
    body,
    ...(isWorthIndenting(text) ? [indentButton(body, text)] : []),
    ...(isLong(text) ? [foldButton(body)] : []),
  ]
}

const isWorthIndenting = (json) => json.length > shortJson && !json.trim().includes('\n')

/** Tab skips the ids of hundreds of rows: the arrow keys of the list reach them. */
function idButton(id) {
  const button = makeButton('id', id, () => copyFrom(button, id))
  button.tabIndex = -1
  button.title = 'Copy the id'
  return button
}

/** Indents on the click: a busy topic brings hundreds of messages a second, and few of them are looked at. */
function indentButton(body, text) {
  let isIndented = false
  return makeButton('link', 'Indent', (button) => {
    isIndented = !isIndented
    body.textContent = isIndented ? indent(text) : text
    button.textContent = isIndented ? 'One line' : 'Indent'
  })
}

const isLong = (text) => text.length > 1500 || text.split('\n', 16).length > 15

function foldButton(body) {
  body.classList.add('folded')
  const button = makeButton('link', 'Show all', () => {
    const folded = body.classList.toggle('folded')
    button.textContent = folded ? 'Show all' : 'Show less'
    button.setAttribute('aria-expanded', String(!folded))
  })
  button.setAttribute('aria-expanded', 'false')
  return button
}
