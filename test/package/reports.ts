import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { install } from '../server/programs.ts'
import { folder } from '../server/server.ts'
import { manifest, pack, subpaths } from './project.ts'

/** Where the reports are kept: the public face of each subpath, so that a change of it shows in a diff. */
export const kept = join(import.meta.dirname, '..', '..', '.github', 'api')

/** The name of a subpath's report. */
export const reportOf = (subpath: string) => `${subpath.replaceAll('/', '-')}.api.md`

/** The part of API Extractor that we use (https://api-extractor.com/pages/setup/invoking/). */
interface ApiExtractor {
  readonly ExtractorConfig: { prepare(options: object): unknown }
  readonly Extractor: { invoke(config: unknown, options: object): { readonly succeeded: boolean } }
}

interface ExtractorMessage {
  readonly logLevel: string
  readonly text: string
  handled: boolean
}

/**
 * Writes the report of every subpath of the package, as it would be published, into a folder.
 *
 * @returns false if the registry cannot be reached
 */
export async function writeReports(output: string): Promise<boolean> {
  const tools = folder()
  if (!(await install('package/tools', tools))) return false
  const api: ApiExtractor = createRequire(join(tools, 'package.json'))('@microsoft/api-extractor')
  const built = dirname(await pack())
  mkdirSync(output, { recursive: true })
  for (const subpath of subpaths) writeReport(api, built, subpath, output)
  return true
}

function writeReport(
  { Extractor, ExtractorConfig }: ApiExtractor,
  built: string,
  subpath: string,
  output: string,
): void {
  const { types } = manifest.exports[subpath.replace('tidings', '.')] as { types: string }
  const entry = join(built, types)
  const quiet = { default: { logLevel: 'none' } }
  const compilerOptions = {
    ...{ target: 'es2022', module: 'nodenext', lib: ['esnext', 'dom', 'dom.iterable', 'dom.asynciterable'] },
    ...{ types: ['node'], strict: true, skipLibCheck: true },
  }
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: join(built, 'package.json'),
    configObject: {
      projectFolder: built,
      mainEntryPointFilePath: entry,
      compiler: { overrideTsconfig: { compilerOptions, files: [entry] } },
      apiReport: {
        ...{ enabled: true, includeForgottenExports: true },
        ...{ reportFileName: reportOf(subpath), reportFolder: output, reportTempFolder: folder() },
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: 'error' } },
        extractorMessageReporting: quiet,
        tsdocMessageReporting: quiet,
      },
    },
  })
  const errors: string[] = []
  const { succeeded } = Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message: ExtractorMessage) {
      if (message.logLevel === 'error') errors.push(message.text)
      message.handled = true
    },
  })
  if (!succeeded) throw new Error(`Cannot report ${subpath}: ${errors.join('\n')}`)
  clean(join(output, reportOf(subpath)))
}

/** Takes the introduction off, which is the same in every report. */
function clean(report: string): void {
  const text = readFileSync(report, 'utf8').replaceAll('\r\n', '\n')
  writeFileSync(
    report,
    text.replace(
      /^## .*\n\n> .*\n\n/,
      `Written by \`npm run api\` with [API Extractor](https://api-extractor.com).\n\n`,
    ),
  )
}

/** Reads the report that is kept of a subpath; '' if there is none. */
export function keptReport(subpath: string): string {
  const file = join(kept, reportOf(subpath))
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}
