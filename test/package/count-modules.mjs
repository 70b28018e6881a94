// Preloaded into a program (`node --import`): prints at its end, as the last line, how many modules of each package were loaded.
import { registerHooks } from 'node:module'
import process from 'node:process'

const urls = new Set()
registerHooks({
  load(url, context, next) {
    urls.add(url)
    return next(url, context)
  },
})
/** The build in the repository itself is not in a `node_modules`. */
const own = (url) => (url.includes('/dist/') ? 'tidings' : undefined)

process.on('exit', () => {
  const counts = {}
  for (const url of urls) {
    const name = url.startsWith('node:')
      ? 'node:'
      : (/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? own(url))
    if (name !== undefined) counts[name] = (counts[name] ?? 0) + 1
  }
  process.stdout.write(`\n${JSON.stringify(counts)}`)
})
