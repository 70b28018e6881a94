import { basename } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

/** Prints, after a run, how the one list of http cases went on each runtime: the table of the README. */
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
  const cases = [...children.allTests()].filter((test) => test.fullName.startsWith('over '))
  if (cases.length === 0) return []
  const name = /^over (.*?), /.exec(cases[0]!.fullName)![1]
  const count = (state: ReturnType<TestCase['result']>['state']) =>
    cases.filter((test) => test.result().state === state).length
  return [
    `| ${name} (\`${basename(moduleId)}\`) | ${cases.length} | ${count('passed')} | ${count('skipped')} | ${count('failed')} |`,
  ]
}
