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

export const chromiumProgram = programOf(
  'Chromium or Chrome',
  'CHROMIUM',
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
)
export const firefoxProgram = programOf(
  'Firefox',
  'FIREFOX',
  '/usr/bin/firefox-esr',
  '/usr/bin/firefox',
  '/Applications/Firefox.app/Contents/MacOS/firefox',
)

/** Where the program of a browser is, and why its tests are skipped; '' if it is there. */
function programOf(name: string, variable: string, ...places: string[]) {
  const path = [process.env[variable], ...places].find((place) => place && existsSync(place))
  return { path, missing: path ? '' : `needs ${name}: name one with ${variable}=PATH` }
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
