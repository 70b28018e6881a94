import * as v from 'valibot'
import { AppError, quote } from '../errors.ts'

/** How a setting is read, as `setting` makes it. */
interface Readable<Schema> {
  readonly defaultText: string
  readonly schema: Schema
}

/** Reads settings one after the other, and reports the mistakes in all of them at once. */
export class Reading {
  /** Sentences that say what was expected. */
  readonly mistakes: string[] = []

  /**
   * Parses a text, or the default if that is missing or empty. A wrong text is a mistake, and what is returned for it must not be used.
   *
   * @param name the name of the setting as its author has written it
   * @param isSecret whether the text is shown nowhere
   */
  get<Schema extends v.GenericSchema<string, unknown>>(
    name: string,
    { schema, defaultText }: Readable<Schema>,
    text: string | undefined,
    isSecret = false,
  ): v.InferOutput<Schema> {
    const result = v.safeParse(schema, text || defaultText)
    const shown = isSecret ? '' : `=${quote(text ?? '')}`
    if (!result.success) this.mistakes.push(`${name}${shown}: expected ${result.issues[0].message}`)
    return result.output as v.InferOutput<Schema>
  }

  /** @throws AppError `config_invalid`, if there is a mistake: lists every one */
  end(): void {
    const { mistakes } = this
    if (mistakes.length === 0) return
    const what = mistakes.length === 1 ? 'a setting is' : `${mistakes.length} settings are`
    throw new AppError('config_invalid', `Cannot start: ${what} wrong\n  ${mistakes.join('\n  ')}`)
  }
}
