import { basename } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

const OF_THE_SUITE =
  /(?:^| > )over ((?!Redis > ).+?), (?:the demo|the parameters of \/event|\/send|topics|a streamed body|a long poll|\/topics|an open stream|the hub itself) > /

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
  const cases = [...children.allTests()].filter((test) => OF_THE_SUITE.test(test.fullName))
  const [, name] = OF_THE_SUITE.exec(cases[0]?.fullName ?? '') ?? []
  if (name === undefined) return []
  const count = (state: ReturnType<TestCase['result']>['state']) =>
    cases.filter((test) => test.result().state === state).length
  return [
    `| ${name} (\`${basename(moduleId)}\`) | ${cases.length} | ${count('passed')} | ${count('skipped')} | ${count('failed')} |`,
  ]
}
