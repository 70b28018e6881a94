import { expect, test } from 'vitest'
import { createSSRApp, h } from 'vue'
import { renderToString } from 'vue/server-renderer'
import { connect } from '../../public/client.js'
import { useLatest, useRun, useTopic } from '../../src/integrations/vue.ts'
import { hookSuite } from './suite.ts'

const fetch = () => {
  throw new Error('Nothing is requested while a page is rendered on a server')
}

test('a page is rendered on a server without events, and without a connection', async () => {
  const hub = connect({ url: '.', fetch })
  const Page = {
    setup() {
      const view = useTopic(hub, 'chat/*', { last: 50 })
      const { event } = useLatest(hub, 'news')
      const run = useRun(hub, 'ai/answer-1')
      const shown = () => `${run.value.events.length} ${run.value.state.state} ${run.value.outcome}`
      return () => h('p', `${view.value.events.length} ${view.value.state.state} ${event.value?.data} ${shown()}`)
    },
  }
  expect(await renderToString(createSSRApp(Page))).toBe('<p>0 connecting undefined 0 connecting undefined</p>')
})

hookSuite(
  'Vue',
  `
  import { createApp, h, ref } from 'vue'
  import { connect } from 'tidings/public/client.js'
  import { useLatest, useTopic } from 'tidings/src/integrations/vue.ts'

  const hub = connect({ url: '/' })
  const room = ref('a')
  window.setRoom = (name) => { room.value = name }
  const Room = {
    setup() {
      const view = useTopic(hub, () => ['chat/' + room.value, 'also'], { last: 2, keep: 3 })
      return () => {
        const { events, latest, state, closed } = view.value
        return h('pre', { id: 'room' }, JSON.stringify({
          events: events.map(({ data }) => data), latest: [...latest.keys()], state: state.state, closed,
        }))
      }
    },
  }
  const Latest = {
    setup() {
      const { event, state } = useLatest(hub, 'chat/a')
      return () => h('pre', { id: 'latest' }, JSON.stringify([event.value?.data ?? null, state.value.state]))
    },
  }
  const app = createApp({ render: () => [h(Room), h(Latest)] })
  app.mount(document.body.appendChild(document.createElement('div')))
  window.unmount = () => app.unmount()
`,
  `
  import { createApp, h, ref } from 'vue'
  import { connect } from 'tidings/public/client.js'
  import { useRun } from 'tidings/src/integrations/vue.ts'

  const hub = connect({ url: '/' })
  const topic = ref('ai/1')
  window.setTopic = (name) => { topic.value = name }
  const Answer = {
    setup() {
      const run = useRun(hub, topic)
      window.stop = () => run.value.stop()
      return () => {
        const { events, state, outcome = null, detail = null, isStopAsked } = run.value
        return h('pre', { id: 'run' }, JSON.stringify({
          events: events.map(({ data }) => data), state: state.state, outcome, detail, isStopAsked,
        }))
      }
    },
  }
  const app = createApp(Answer)
  app.mount(document.body.appendChild(document.createElement('div')))
  window.unmount = () => app.unmount()
`,
)
