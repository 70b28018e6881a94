import type { Client } from './clients.ts'
import { installed, sourceOf, type Variant, withoutLanguage } from './languages.ts'
import { needed, plain } from './lines.ts'
import { type Outcome, type Scene, wrong } from './scene.ts'
import { Stage } from './stage.ts'

/** What a client made of a scene: by itself, or with the lines that its program has for the hub. */
export interface Cell extends Outcome {
  readonly needsLines: boolean
}

/** What was measured of a client, or why nothing was. */
export interface Measured {
  readonly client: Client
  readonly cells: ReadonlyMap<Scene, Cell>
  readonly notRun?: string
}

/** Plays the scenes with a client: first as it comes, and where that is wrong, with the lines that its program has for the hub. */
export async function measure(
  client: Client,
  scenes: readonly Scene[],
  progress: (text: string) => void,
): Promise<Measured> {
  const cells = new Map<Scene, Cell>()
  const commands = build(client)
  if (typeof commands === 'string') return { client, cells, notRun: commands }
  for (const scene of scenes) {
    let cell: Cell | undefined
    for (const [variant, command] of commands) {
      progress(`${scene.name}${variant === 'needed' ? ', with its lines' : ''}`)
      const outcome = await play(scene, new Stage(command, client.jitter))
      cell = { ...outcome, needsLines: variant === 'needed' && !client.isParser }
      if (outcome.isRight) break
    }
    cells.set(scene, cell!)
  }
  return { client, cells }
}

async function play(scene: Scene, stage: Stage): Promise<Outcome> {
  try {
    return await scene.play(stage)
  } catch (error) {
    return wrong(`the scene failed: ${(error as Error).message}`)
  } finally {
    await stage.close()
  }
}

/** The commands that run a client's program in each variant, or why there is none. */
function build({ language, program, isParser }: Client): [Variant, readonly string[]][] | string {
  const lacks = withoutLanguage(language)
  if (lacks) return lacks
  try {
    const place = installed(language)
    const source = sourceOf(language, program)
    const variants: [Variant, string][] = isParser
      ? [['needed', source]]
      : [['plain', plain(source)], ...(needed(source).length > 0 ? [['needed', source] as [Variant, string]] : [])]
    return variants.map(([variant, text]) => [variant, language.build(place, program, variant, text)])
  } catch (error) {
    return (error as Error).message
  }
}
