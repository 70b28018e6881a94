import { basename } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

/** A case of the suite's first group; `over Redis` is only a group around a target. */
const OF_THE_DEMO = /(?:^| > )over ((?!Redis > ).+?), the demo > /

/** Prints after a run how the cases of the http suite went on each runtime: the table of the guide to the runtimes. */
export default class Matrix implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modules
      .filter(({ moduleId }) => moduleId.includes('/test/http/'))
      .flatMap(rowOf)
      .sort()
    if (rows.length < 2) return
    console.log(
      `\n| one suite, \`test/http/suite.ts\` | cases | passed | skipped | failed |\n|---|--:|--:|--:|--:|\n${rows.join('\n')}`,
    )
  }
}

function rowOf({ moduleId, children }: TestModule): string[] {
  const tests = [...children.allTests()]
  const name = tests.map(({ fullName }) => OF_THE_DEMO.exec(fullName)?.[1]).find((found) => found !== undefined)
  if (name === undefined) return []
  const cases = tests.filter(({ fullName }) => fullName.includes(`over ${name}, `))
  const count = (state: ReturnType<TestCase['result']>['state']) =>
    cases.filter((test) => test.result().state === state).length
  return [
    `| ${name} (\`${basename(moduleId)}\`) | ${cases.length} | ${count('passed')} | ${count('skipped')} | ${count('failed')} |`,
  ]
}
