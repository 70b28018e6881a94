import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { expect, test } from 'vitest'
import { connect } from '../../public/client.js'
import { useLatest, useRun, useTopic } from '../../src/integrations/react.ts'
import { hookSuite } from './suite.ts'

const fetch = () => {
  throw new Error('Nothing is requested while a page is rendered on a server')
}

test('a page is rendered on a server without events, and without a connection', () => {
  const hub = connect({ url: '.', fetch }) // a relative URL has no meaning there
  const Page = () => {
    const { events, latest, closed, state } = useTopic(hub, 'chat/*', { last: 50 })
    const { event } = useLatest(hub, 'news')
    const run = useRun(hub, 'ai/answer-1')
    return createElement(
      'p',
      null,
      `${events.length} ${latest.size} ${closed.length} ${state.state} ${event?.data}`,
      ` ${run.events.length} ${run.state.state} ${run.outcome} ${run.isStopAsked}`,
    )
  }
  expect(renderToString(createElement(Page))).toBe(
    '<p>0 0 0 connecting undefined<!-- --> 0 connecting undefined false</p>',
  )
})

test('the hooks of React and of Vue have at most 100 lines each', () => {
  for (const name of ['react', 'vue'])
    expect(
      readFileSync(join(import.meta.dirname, '..', '..', 'src', 'integrations', `${name}.ts`), 'utf8').split('\n')
        .length,
    ).toBeLessThanOrEqual(101)
})

hookSuite(
  'React',
  `
  import { createElement as h, StrictMode, useState } from 'react'
  import { createRoot } from 'react-dom/client'
  import { connect } from 'tidings/public/client.js'
  import { useLatest, useTopic } from 'tidings/src/integrations/react.ts'

  const hub = connect({ url: '/' })

  function Room() {
    const [room, setRoom] = useState('a')
    window.setRoom = setRoom
    const { events, latest, state, closed } = useTopic(hub, ['chat/' + room, 'also'], { last: 2, keep: 3 })
    return h('pre', { id: 'room' }, JSON.stringify({
      events: events.map(({ data }) => data), latest: [...latest.keys()], state: state.state, closed,
    }))
  }
  function Latest() {
    const { event, state } = useLatest(hub, 'chat/a')
    return h('pre', { id: 'latest' }, JSON.stringify([event?.data ?? null, state.state]))
  }
  const place = document.body.appendChild(document.createElement('div'))
  const root = createRoot(place)
  root.render(h(StrictMode, null, h(Room), h(Latest)))
  window.unmount = () => root.unmount()
`,
  `
  import { createElement as h, StrictMode, useState } from 'react'
  import { createRoot } from 'react-dom/client'
  import { connect } from 'tidings/public/client.js'
  import { useRun } from 'tidings/src/integrations/react.ts'

  const hub = connect({ url: '/' })

  function Answer() {
    const [topic, setTopic] = useState('ai/1')
    const { events, state, outcome = null, detail = null, isStopAsked, stop } = useRun(hub, topic)
    Object.assign(window, { setTopic, stop })
    return h('pre', { id: 'run' }, JSON.stringify({
      events: events.map(({ data }) => data), state: state.state, outcome, detail, isStopAsked,
    }))
  }
  const root = createRoot(document.body.appendChild(document.createElement('div')))
  root.render(h(StrictMode, null, h(Answer)))
  window.unmount = () => root.unmount()
`,
)
