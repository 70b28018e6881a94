/** What a check has found. A note is worth knowing; a problem makes the exit code 1. */
export interface Finding {
  readonly check: string
  readonly level: 'ok' | 'note' | 'problem'
  readonly text: string
  /** What to change. */
  readonly advice?: string
}

export function ok(check: string, text: string): Finding {
  return { check, level: 'ok', text }
}

export function note(check: string, text: string, advice: string): Finding {
  return { check, level: 'note', text, advice }
}

export function problem(check: string, text: string, advice: string): Finding {
  return { check, level: 'problem', text, advice }
}
