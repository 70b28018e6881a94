import { readFileSync } from 'node:fs'
import { defineConfig } from 'rolldown'

interface Manifest {
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

const { bin, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
const built = [...Object.values(exports).flatMap((target) => Object.values(target)), ...Object.values(bin)]
/** The modules that package.json names, without `dist/` and `.js`. */
const entries = built.flatMap((file) => /^\.\/dist\/(.*)\.js$/.exec(file)?.[1] ?? [])

/**
 * What is published: few modules, because Node takes longer to load a hundred files than to run them. Entries share what they have in
 * common, so that two subpaths have the same classes and the same store.
 */
export default defineConfig({
  input: Object.fromEntries(entries.map((entry) => [entry, `src/${entry}.ts`])),
  external: /^[^./]/,
  platform: 'neutral',
  // Programs are run by the command. In a bundle of a host, this would be true for the host's program.
  transform: { target: 'es2024', define: { 'import.meta.main': 'false' } },
  output: {
    dir: 'dist',
    format: 'es',
    chunkFileNames: 'shared/[name].js',
    sourcemap: true,
    sourcemapExcludeSources: true,
    comments: { jsdoc: false }, // editors read those of the declarations, debuggers those of the sources
  },
})
