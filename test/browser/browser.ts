import { existsSync } from 'node:fs'
import type { Tab, Visit } from './visit.ts'

/** A browser that is launched for its first page. */
export interface Browser<T extends Tab = Tab> {
  readonly name: string
  /** Why the tests of this browser are skipped; '' if the browser is there. */
  readonly missing: string
  /** Opens the hub's page as another person, who shares nothing with the pages opened before. */
  open(url: string): Promise<Visit<T>>
  /** Closes every page, and throws if a page of the hub threw, broke its policy or opened a dialog: for `afterEach`. */
  leave(): Promise<void>
  /** Ends the browser: for `afterAll`. */
  quit(): Promise<void>
}

/** The first of these programs that exists. */
export function programAt(...places: (string | undefined)[]): string | undefined {
  return places.find((place) => place && existsSync(place))
}

/** Reports violations of the policy as errors. Runs in every page before the scripts of the page. */
export function tellViolations(): void {
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) =>
    console.error(`policy: ${effectiveDirective} blocked ${blockedURI}`),
  )
}

/** Throws the problems of the pages, and clears the list. */
export function raise(problems: string[]): void {
  if (problems.length > 0) throw new Error(`The page had problems:\n${problems.splice(0).join('\n')}`)
}
