import { accept } from './suite/accept.ts'
import { bare } from './suite/bare.ts'
import { clientOf, type Target } from './suite/client.ts'
import { closing } from './suite/closing.ts'
import { demo } from './suite/demo.ts'
import { envelope } from './suite/envelope.ts'
import { keys } from './suite/keys.ts'
import { parameters } from './suite/parameters.ts'
import { poll } from './suite/poll.ts'
import { publish } from './suite/publish.ts'
import { raw } from './suite/raw.ts'
import { refusals } from './suite/refusals.ts'
import { resume } from './suite/resume.ts'
import { runs } from './suite/runs.ts'
import { self } from './suite/self.ts'
import { send } from './suite/send.ts'
import { stream } from './suite/stream.ts'
import { streamed } from './suite/streamed.ts'
import { subscribe } from './suite/subscribe.ts'
import { topics } from './suite/topics.ts'
import { values } from './suite/values.ts'

/** Tests every promise over HTTP, on any runtime, with no more than a way to send requests. */
export function httpSuite(target: Target): void {
  const client = clientOf(target)

  demo(client)

  publish(client)
  values(client)
  keys(client)
  streamed(client)
  runs(client)
  raw(client)
  send(client)
  refusals(client)

  subscribe(client)
  parameters(client)
  resume(client)
  closing(client)
  stream(client)
  envelope(client)
  bare(client)
  poll(client)
  accept(client)

  topics(client)
  self(client)
}
