import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take long, mostly by waiting. If one of them began last, the processors would be idle until it ends. */
const longest = [
  'test/http/worker.test.ts',
  'test/log/object.test.ts',
  'test/adapters/worker.test.ts',
  'test/fault/runs.test.ts',
  'test/browser/client-rest.test.ts',
  'test/browser/chromium.test.ts',
  'test/recipes/recipes.test.ts',
  'test/clients/table.test.ts',
  'test/browser/page.test.ts',
  'test/integrations/ai-sdk-cuts.test.ts',
  'test/planted/planted.test.ts',
  'test/package/runtimes.test.ts',
  'test/package/walk.test.ts',
  'test/package/declarations.test.ts',
  'test/runs/simulator.test.ts',
  'test/recipes.test.ts',
  'test/package/bundlers.test.ts',
  'test/deploy/image.test.ts',
  'test/log/runtimes.test.ts',
  'test/hub/race.test.ts',
  'test/fault/redis.test.ts',
  'test/auth/keys.test.ts',
  'test/browser/client-chromium.test.ts',
  'test/browser/axe.test.ts',
]

/** Starts the longest files first, and the others in the order of Vitest. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rest = await super.sort(files)
    return rest.toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = longest.findIndex((file) => moduleId.endsWith(`/${file}`))
  return rank < 0 ? longest.length : rank
}
