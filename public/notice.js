import { make } from './element.js'
import { timeOf } from './row.js'

const gapReasons = {
  trimmed: 'the server no longer keeps messages that old.',
  epoch: 'the server has started with a new log, and earlier messages are gone.',
  unknown: 'the server does not know the position this page had reached.',
  ahead: 'this page had read further than the server remembers.',
}

const outcomes = {
  done: 'It is complete. Nothing more will be sent to it.',
  failed: 'Its producer failed. Nothing more will be sent to it.',
  stopped: 'It was stopped. Nothing more will be sent to it.',
  abandoned: 'Its producer gave no more sign of life, so the hub closed it.',
}

/** A row that says that messages are missing. */
export function gapRow({ reason, from, to, exact }) {
  const why = gapReasons[reason] ?? 'the server gave no reason this page knows.'
  const span = [from && `after ${from}`, to && `up to ${to}`].filter(Boolean).join(' ')
  return noticeRow('gap', [
    make('p', '', `Some messages can no longer be delivered: ${why}`),
    ...(span ? [make('p', 'span', `${countWords(from, to, exact)}: ${span}`)] : []),
  ])
}

/** The entries between two positions of one log are those of all topics; `exact` says that the last of them is missing. */
function countWords(from, to, exact) {
  const [first, last] = [from, to].map((id) => /^(.*)-(\d+)$/.exec(id ?? ''))
  if (!first || first[1] !== last?.[1]) return 'How many messages are missing is unknown'
  const most = last[2] - first[2]
  if (most !== 1) return `At most ${most} messages are missing`
  return exact ? '1 message is missing' : 'At most 1 message is missing'
}

/** A row that says how a topic ended. */
export function closedRow({ topic, outcome, detail }) {
  // Nothing tells when the topic ended.
  const row = noticeRow('closed', [
    make('p', '', outcome ? `${topic} ended: ${outcome}` : `${topic} was closed`),
    make('p', 'why', outcomes[outcome] ?? 'Nothing more will be sent to it.'),
    ...(detail ? [make('p', 'span', typeof detail === 'string' ? detail : JSON.stringify(detail))] : []),
  ])
  row.dataset.outcome = outcome ?? ''
  row.querySelector('time').remove()
  return row
}

function noticeRow(kind, paragraphs) {
  const row = make('li', `notice ${kind}`)
  const content = make('div', 'content')
  content.append(...paragraphs)
  row.append(timeOf(new Date()), content)
  return row
}
