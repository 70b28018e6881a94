import { TrieRouter } from 'hono/router/trie-router'
import type { Route, Table } from './door.ts'

/**
 * Joins tables into one.
 *
 * @throws if two tables have the same path, or a path of an earlier table takes the requests of a path of a later one
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

/** Returns a request path that the route takes, with `x` for each parameter. */
function sampleOf(path: string): string {
  return path.replace(/:\w+(\{[^}]*\})?\??/g, 'x')
}
