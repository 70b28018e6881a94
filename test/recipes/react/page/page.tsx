import { StrictMode, type SubmitEvent, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { connect } from 'tidings/client'
import { useTopic } from 'tidings/react'

const hub = connect({ url: '/live', shared: true })

/** The list is what its events make of it, so it is the same for everybody. */
function ShoppingList({ topic }: { readonly topic: string }) {
  const { events, state } = useTopic(hub, topic, { from: 'earliest', keep: 10_000 })
  const [problem, setProblem] = useState('')
  const items = new Map<string, boolean>()
  for (const { event, data } of events) items.set(data, event === 'tick')
  useEffect(() => {
    document.body.dataset.state = state.state
  }, [state])

  /** What a hub that restarts does not take, the client sends again. */
  const send = (event: string, data: string) =>
    hub.publish({ topic, event, data }).then(
      () => setProblem(''),
      ({ message }) => setProblem(message),
    )
  const add = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault()
    void send('add', String(new FormData(event.currentTarget).get('item')))
    event.currentTarget.reset()
  }

  return (
    <>
      <form onSubmit={add}>
        <input name="item" aria-label="Item" placeholder="What is missing?" required />
        <button type="submit">Add</button>
      </form>
      <p role="alert">{problem}</p>
      {[...items].map(([item, isTicked]) => (
        <label key={item} className="card">
          <input type="checkbox" checked={isTicked} onChange={() => send(isTicked ? 'add' : 'tick', item)} />
          <span>{item}</span>
        </label>
      ))}
    </>
  )
}

createRoot(document.querySelector('#root')!).render(
  <StrictMode>
    <ShoppingList topic="lists/home" />
  </StrictMode>,
)
