import * as v from 'valibot'
import { duration } from '../config/values.ts'
import { topicInPath } from '../topic.ts'
import { type Command, hubOptions } from './command.ts'
import { checkClock, checkCors, checkReady } from './doctor/answers.ts'
import { checkConnection } from './doctor/connection.ts'
import { type Finding, problem } from './doctor/finding.ts'
import { checkStream } from './doctor/stream.ts'
import { EXIT, Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { cleanlyInterrupted } from './interrupt.ts'
import { type Remote, remoteOf } from './remote.ts'
import { print } from './stdout.ts'
import { painted } from './terminal.ts'

/** `tidings doctor`: checks a hub as its clients reach it. */
export const doctor: Command = {
  usage: 'doctor [URL] [FLAG…]',
  about: `Checks a hub as its clients reach it, behind its proxies: whether a stream flows or a proxy buffers, the HTTP version, keep-alive,
durability, clock and CORS. Says what to change. Exits with 1 if there is a problem. It publishes one event to a topic of its own, and
deletes that topic.`,
  options: {
    origin: { value: 'ORIGIN', about: 'Check whether pages of this origin may use the hub' },
    prefix: { value: 'TOPIC', about: 'Make the scratch topic below this one; doctor if left out' },
    timeout: { value: 'TIME', about: 'How long to wait for each answer and event; 5s if left out' },
    json: { about: 'Print a line of JSON for each finding: check, level, text, advice' },
    ...hubOptions,
  },
  operands: [0, 1],
  examples: [
    'tidings doctor https://hub.example/live --token-file token',
    'tidings doctor http://localhost:3000 --origin https://app.example',
  ],
  async run(given) {
    const timeoutMs = timeoutOf(given)
    const remote = remoteOf(given, given.operands[0], timeoutMs)
    let isWell = true
    for await (const finding of findingsOf(remote, given, timeoutMs)) {
      if (finding.level === 'problem') isWell = false
      await print(given.isOn('json') ? `${JSON.stringify(finding)}\n` : textOf(finding))
    }
    return isWell ? EXIT.ok : EXIT.failed
  },
}

function timeoutOf(given: Given): number {
  const parsed = v.safeParse(duration(100, 600_000), given.value('timeout') ?? '5s')
  if (!parsed.success) throw misuse(`Cannot use this --timeout: expected ${parsed.issues[0].message}`)
  return parsed.output
}

async function* findingsOf(remote: Remote, given: Given, timeoutMs: number): AsyncGenerator<Finding> {
  const topic = `${given.value('prefix') ?? 'doctor'}/${crypto.randomUUID()}`
  await remote.request('/health') // ends here if there is no hub
  yield* await checkReady(remote)
  yield* await checkConnection(remote.url, timeoutMs)
  const remove = () => deleteTopic(remote, topic)
  const { findings, isPublished, aheadMs } = await cleanlyInterrupted(
    () => checkStream(remote, topic, timeoutMs),
    remove,
  )
  yield* findings
  const left = await remove()
  if (left && isPublished) yield left
  yield await checkClock(remote, aheadMs)
  yield await checkCors(remote, given.value('origin'))
}

/** @returns what to do if the topic could not be deleted */
async function deleteTopic(remote: Remote, topic: string): Promise<Finding | undefined> {
  try {
    await remote.request(`/topics/${topicInPath(topic)}`, { method: 'DELETE' })
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause
    const advice = `Let the token publish to $topics/${topic.replace(/[^/]*$/, '*')}, or delete the topic with another token`
    return problem('scratch topic', `${topic} could not be deleted: ${cause.message}`, advice)
  }
}

const COLOURS = { ok: 'green', note: 'yellow', problem: 'red' } as const

function textOf({ check, level, text, advice }: Finding): string {
  const mark = painted(COLOURS[level], level.padEnd(9))
  return `${mark}${check.padEnd(15)}${text}\n${advice ? `${''.padEnd(24)}→ ${advice}\n` : ''}`
}
