import type { Running } from './running.ts'
import type { Stage } from './stage.ts'

/** What was measured of a client in a scene. */
export interface Outcome {
  readonly isRight: boolean
  /** What was measured, in a few words. */
  readonly says: string
}

/** Something that happens to every client of a hub, and what a right client makes of it. */
export interface Scene {
  readonly name: string
  /** What happens, and what is measured. */
  readonly says: string
  play(stage: Stage): Promise<Outcome>
}

export const right = (says: string): Outcome => ({ isRight: true, says })
export const wrong = (says: string): Outcome => ({ isRight: false, says })

/** The outcome for a program that has ended where it should go on. */
export const ended = ({ complaint }: Running): Outcome => wrong(`ends by itself${complaint && `: ${complaint}`}`)

/** What was lost and doubled of the published texts, in words; '' if nothing was. */
export function missing(published: readonly string[], { entries }: Running): string {
  const heard = entries.map(({ data }) => data)
  const lost = published.filter((data) => !heard.includes(data)).length
  const doubled = heard.length - new Set(heard).size
  return [lost > 0 && `${lost} lost`, doubled > 0 && `${doubled} doubled`].filter(Boolean).join(', ')
}
