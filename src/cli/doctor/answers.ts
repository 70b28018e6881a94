import type { Remote } from '../remote.ts'
import { type Finding, note, ok, problem } from './finding.ts'

/** A clock that differs by more makes tokens expire too early or too late, and `since` begin elsewhere. */
const SKEW_MS = 5000

/** Checks `/ready`: whether the hub works, what an acknowledgement proves, and what it warns of. */
export async function checkReady(remote: Remote): Promise<Finding[]> {
  const answer = await remote.ask('/ready')
  const { status, durability, warnings = [], detail } = (await answer.json().catch(() => ({}))) as Ready
  if (status === undefined)
    return [
      problem(
        'ready',
        `/ready answers ${answer.status}, but not as a hub does`,
        'Give the URL of a hub, with its path if it is mounted under one',
      ),
    ]
  if (status !== 'ready')
    return [problem('ready', `the hub cannot work: ${status}`, `${detail ?? 'See the output of the hub'}`)]
  return [
    durability === 'memory'
      ? note(
          'durability',
          'memory: a restart of the hub or its server loses events',
          'Name an SQLite file with LOG, or let Redis sync (appendfsync always)',
        )
      : ok(
          'durability',
          `${durability}: an acknowledged event survives ${durability === 'process' ? 'kill -9' : 'a power cut'}`,
        ),
    ...warnings.map((warning) => problem('warning', warning, 'See the guide to the log')),
  ]
}

interface Ready {
  readonly status?: string
  readonly durability?: string
  readonly warnings?: readonly string[]
  readonly detail?: string
}

/** Compares the clocks. @param aheadMs how far the hub's clock is ahead; undefined if no event has told */
export async function checkClock(remote: Remote, aheadMs: number | undefined): Promise<Finding> {
  const ahead = aheadMs ?? (await aheadByDate(remote))
  if (ahead === undefined) return note('clock', 'no answer tells the time', 'Let the proxy pass the header Date')
  const seconds = `${(Math.abs(ahead) / 1000).toFixed(1)} s`
  if (Math.abs(ahead) < SKEW_MS) return ok('clock', 'differs from the one here by less than 5 s')
  return problem(
    'clock',
    `is ${seconds} ${ahead > 0 ? 'ahead of' : 'behind'} the one here: tokens expire too ${ahead > 0 ? 'early' : 'late'}`,
    'Set both by NTP',
  )
}

async function aheadByDate(remote: Remote): Promise<number | undefined> {
  const begun = Date.now()
  const { headers } = await remote.request('/health')
  const date = Date.parse(headers.get('date') ?? '')
  return Number.isNaN(date) ? undefined : date + 500 - (begun + Date.now()) / 2
}

/** Checks whether a page of an origin may publish and subscribe. */
export async function checkCors(remote: Remote, origin: string | undefined): Promise<Finding> {
  if (origin === undefined) return ok('CORS', 'not checked; --origin https://app.example checks a page of another site')
  const preflight = await remote.ask('/send?topic=a', {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  })
  const allowed = preflight.headers.get('access-control-allow-origin')
  if (preflight.ok && allowed === origin) return ok('CORS', `pages of ${origin} may use the hub`)
  const advice = `Add the origin to CORS_ORIGINS of the hub, and let the proxy pass OPTIONS and answer with the headers of the hub`
  return problem(
    'CORS',
    `pages of ${origin} may not use the hub: the preflight is answered with ${preflight.status}`,
    advice,
  )
}
