import { existsSync } from 'node:fs'
import type { Tab, Visit } from './visit.ts'

/** A browser that is launched for its first page. */
export interface Browser<T extends Tab = Tab> {
  readonly name: string
  /** Where there is no such browser, what is seen in it is skipped for this reason. */
  readonly missing: string
  /** Opens the hub's page as another person: nothing is shared with the pages opened before. */
  open(url: string): Promise<Visit<T>>
  /** Closes every page, and throws if one of the hub's threw, broke its policy or asked something: for `afterEach`. */
  leave(): Promise<void>
  /** Ends the browser: for `afterAll`. */
  quit(): Promise<void>
}

/** The first of these programs that is there. */
export function programAt(...places: (string | undefined)[]): string | undefined {
  return places.find((place) => place && existsSync(place))
}

/** Runs in every page before its own scripts. */
export function tellViolations(): void {
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) =>
    console.error(`policy: ${effectiveDirective} blocked ${blockedURI}`),
  )
}

/** Throws what went wrong in the pages, and forgets it. */
export function raise(problems: string[]): void {
  if (problems.length > 0) throw new Error(`The page had problems:\n${problems.splice(0).join('\n')}`)
}
