import { writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Ports } from './ports.ts'

/** The folders of programs that a reader has too: not those of the install of the project. */
export const programFolders = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))

/** The environment of a reader's shell: free ports, and programs that are quiet. */
export function environmentOf(home: string, programs: readonly string[], ports: Ports): Record<string, string> {
  writeFileSync(join(home, '.curlrc'), 'no-progress-meter\n') // curl shows a progress meter if it does not write to a terminal
  return {
    PATH: programs.join(delimiter),
    HOME: process.env.HOME ?? '',
    CURL_HOME: home,
    PORT: ports.replacedIn('3000'),
    WARM_UP: 'false',
    NO_COLOR: '1',
    CI: '1',
  }
}
