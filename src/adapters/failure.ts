import { errorLine } from '../requests.ts'

/** The line of JSON for what a hub reports as `failed`, with its causes. */
export function failureLine(what: string, cause: unknown): string {
  return errorLine(new Error(what, { cause }))
}
