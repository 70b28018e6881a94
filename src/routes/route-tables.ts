import { TrieRouter } from 'hono/router/trie-router'
import type { Route, Table } from './door.ts'

/**
 * Joins tables into one.
 *
 * @throws if an earlier table has a path of a later one, or a pattern that takes its requests
 */
export function joinTables(tables: readonly Table[]): Table {
  const router = new TrieRouter<string>()
  const joined: Record<string, Route> = {}
  for (const table of tables) {
    for (const path of Object.keys(table)) {
      const [[[other] = []] = []] = router.match('ALL', sampleOf(path))
      const taken = Object.hasOwn(joined, path) ? path : other
      if (taken !== undefined) throw new Error(`Cannot add route "${path}": another table has "${taken}"`)
    }
    for (const path of Object.keys(table)) router.add('ALL', path, path)
    Object.assign(joined, table)
  }
  return joined
}

/** A path that a route takes: `x` stands for each parameter. */
function sampleOf(path: string): string {
  return path.replace(/:\w+(\{[^}]*\})?\??/g, 'x')
}
