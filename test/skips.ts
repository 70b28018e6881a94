import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'

const IN_TITLE = /\(skipped: ([^)]*)\)|\b(needs [^()]*?, which (?:this machine does not have|only Linux has))/

/** Prints after a run why tests were skipped, each reason with the number of its tests. */
export default class Skips implements Reporter {
  #isFiltered = false

  onInit({ config }: Vitest): void {
    this.#isFiltered = config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>()
    for (const test of modules.flatMap(({ children }) => [...children.allTests('skipped')])) {
      const reason = reasonOf(test) ?? (this.#isFiltered ? undefined : `no reason is given: ${test.fullName}`)
      if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
    }
    if (counts.size === 0) return
    const lines = [...counts].sort().map(([reason, count]) => `${`${count}`.padStart(4)}  ${reason}`)
    console.log(`\nSkipped tests:\n${lines.join('\n')}`)
  }
}

function reasonOf(test: TestCase): string | undefined {
  const result = test.result()
  if (result.state === 'skipped' && result.note) return result.note
  return IN_TITLE.exec(test.fullName)?.slice(1).find(Boolean)
}
