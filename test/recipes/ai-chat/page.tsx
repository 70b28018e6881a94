import { useChat } from '@ai-sdk/react'
import { DefaultChatTransport, generateId, type UIMessage } from 'ai'
import { type FormEvent, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { tidingsChatTransport } from 'tidings/ai-sdk'
import { styles } from './styles.ts'

/** Where the hub is. */
declare const HUB: string

const query = new URLSearchParams(location.search)
const id = query.get('chat') ?? generateId()
if (!query.has('chat')) history.replaceState(null, '', `?chat=${id}`)
const api = '/api/chat'
const transport =
  query.get('transport') === 'default' ? new DefaultChatTransport({ api }) : tidingsChatTransport({ api, hub: HUB })

function Page({ saved }: { saved: UIMessage[] }) {
  const [draft, setDraft] = useState('')
  const { messages, status, error, sendMessage, stop } = useChat({ id, messages: saved, transport, resume: true })
  const isBusy = status === 'submitted' || status === 'streaming'
  const send = (event: FormEvent) => {
    event.preventDefault()
    if (draft.trim() === '' || isBusy) return
    void sendMessage({ text: draft })
    setDraft('')
  }
  /** `stop` alone would end the reading, and not the answer. */
  const stopAnswer = async () => {
    await fetch(`${api}/${encodeURIComponent(id)}/stop`, { method: 'POST' })
    await stop()
  }
  return (
    <main>
      <header>
        <h1>Chat</h1>
        <p role="status">{status}</p>
        <a href={location.href} target="_blank" rel="noreferrer">
          Open in another tab
        </a>
      </header>
      <ol aria-live="polite">
        {messages.length === 0 && <li className="hint">Send a message, and reload while the answer comes in.</li>}
        {messages.map((message) => (
          <li key={message.id} className={message.role}>
            {message.parts.map((part) => (part.type === 'text' ? part.text : ''))}
          </li>
        ))}
        {status === 'submitted' && <li className="hint">…</li>}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input
          aria-label="Message"
          value={draft}
          placeholder="Message"
          onChange={(event) => setDraft(event.target.value)}
        />
        {isBusy ? (
          <button type="button" onClick={() => void stopAnswer()}>
            Stop
          </button>
        ) : (
          <button type="submit">Send</button>
        )}
      </form>
    </main>
  )
}

document.head.append(Object.assign(document.createElement('style'), { textContent: styles }))
const saved = (await (await fetch(`${api}/${encodeURIComponent(id)}`)).json()) as UIMessage[]
createRoot(document.querySelector('#chat')!).render(<Page saved={saved} />)
