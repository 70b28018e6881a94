// A program that uses the client on Node, Bun and Deno. It gets the name of a scene, a hub, and the scene's own arguments as JSON. It prints
// what it sees, a line of JSON each.
import process from 'node:process'
import { connect } from '../../public/client.js'

const [scene, url, given = '{}'] = process.argv.slice(2)
const more = JSON.parse(given)

/** @param {unknown} what */
const say = (what) => console.log(JSON.stringify(what))
const dataOf = (/** @type {{ data: string }} */ { data }) => data

const scenes = {
  async promises() {
    const hub = connect({ url })
    const one = await hub.publish({ topic: 'a/1', data: { n: 1.5 }, event: 'said' }, { key: 'k' })
    const again = await hub.publish({ topic: 'a/1', data: { n: 1.5 }, event: 'said' }, { key: 'k' })
    say(['the same key', again.id === one.id, again.duplicate])
    const { ids } = await hub.publish([
      { topic: 'a/2', data: 'é☂👍\r\nline' },
      { topic: 'b', data: 'other' },
    ])
    say(['a list', ids.length])

    const subscription = hub.subscribe('a/*', { from: 'earliest' })
    const events = []
    for await (const event of subscription) if (events.push(event) === 2) break
    say(
      events.map(({ id, topic, event, data, time }) => [
        id === one.id || id === ids[0],
        topic,
        event,
        data,
        time.endsWith('Z'),
      ]),
    )
    say(['left', subscription.state, subscription.position === ids[0]])

    const rest = []
    for await (const { data } of hub.subscribe('a/*', { lastEventId: one.id })) {
      rest.push(data)
      break
    }
    say(['resumed', rest])

    await hub.publish({ topic: 'a/2', data: 'last', close: true })
    const closed = []
    const whole = []
    for await (const { data } of hub.subscribe('a/2', { from: 'earliest', onClosed: (one) => closed.push(one) }))
      whole.push(data)
    say(['closed', whole, closed])

    const opened = Promise.withResolvers()
    const changing = hub.subscribe('b', {
      onOpen: opened.resolve,
      onEvent: ({ topic, data }) => say(['heard', topic, data]),
    })
    await opened.promise
    await changing.change(['b', 'c'])
    await hub.publish({ topic: 'c', data: 'on the same stream' })
    await until(() => changing.position !== undefined && seqOf(changing.position) === 5)

    for (const [topic, options] of /** @type {const} */ ([
      ['a b', {}],
      ['b', { lastEventId: 'other-7' }],
    ]))
      try {
        for await (const event of hub.subscribe(topic, options)) say(event)
      } catch (error) {
        say([error.name, error.code, error.status, error.gap?.reason])
      }
    say(['refused', await hub.publish({ topic: 'a/2', data: 'late' }).catch(({ code, outcome }) => [code, outcome])])
    hub.close()
    say('closed')
  },

  /** Reads until the data `end`. */
  async lasting() {
    const hub = connect({ url, heartbeatMs: more.heartbeatMs })
    let opens = 0
    const got = []
    hub.subscribe('a', {
      lastEventId: more.lastEventId,
      onOpen: () => say(['open', ++opens]),
      onState: ({ state, error }) => state === 'reconnecting' && say([state, error?.code]),
      onGap: say,
      onEvent({ data }) {
        if (got.push(data) % 100 === 0) say(['got', got.length])
        if (data !== 'end') return
        say(['end', got.length, got.every((data, i) => data === (i === got.length - 1 ? 'end' : `${i}`)), opens])
        hub.close()
      },
    })
  },

  /** Publishes numbers, one after another, while the hub goes and comes. */
  async publishing() {
    const hub = connect({ url })
    for (let i = 0; i < more.count; i++) {
      await hub.publish({ topic: 'a', data: `${i}` }, { timeoutMs: 60_000 })
      if (i % 20 === 0) say(['published', i])
    }
    await hub.publish({ topic: 'a', data: 'end' })
    say('done')
  },

  /** Reads with a token that expires soon, and takes the next one for the live stream. */
  async expiring() {
    const tokens = [...more.tokens]
    const hub = connect({
      url,
      token: () => {
        say(['asked', tokens.length])
        return tokens.shift()
      },
    })
    const subscription = hub.subscribe('a', {
      onOpen: ({ state }) => say(['open', state]),
      onState: ({ state, error }) => state === 'failed' && say([state, error.code, error.status]),
      onEvent: (event) => {
        say(dataOf(event))
        if (event.data === 'end') subscription.close()
      },
    })
  },
}

/** @param {string} position */
const seqOf = (position) => Number(position.split('-').at(-1))

/** @param {() => boolean} holds */
async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

await scenes[/** @type {keyof typeof scenes} */ (scene)]()
