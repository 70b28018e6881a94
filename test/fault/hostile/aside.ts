import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Answer, Calls, Question } from './answers.ts'

/** A process beside the test that runs calls on request, so that measurements do not wait for it. */
export interface Aside<Known extends Calls> {
  ask<Name extends keyof Known>(
    name: Name,
    ...given: Parameters<Known[Name]>
  ): Promise<Awaited<ReturnType<Known[Name]>>>
  stop(): void
}

/** Starts a module of this folder in a process of its own. */
export function aside<Known extends Calls>(module: string, port: number): Aside<Known> {
  const child = fork(join(import.meta.dirname, module), [`${port}`], { execArgv: [] })
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  child.on('message', ({ id, result, error }: Answer) => {
    const { resolve, reject } = waiting.get(id)!
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(`${module}: ${error}`))
  })
  once(child, 'exit').then(([code, signal]) => {
    for (const { reject } of waiting.values()) reject(new Error(`${module} ended with ${code ?? signal}`))
  })
  let asked = 0
  return {
    ask: (name, ...given) =>
      new Promise((resolve, reject) => {
        asked++
        waiting.set(asked, { resolve: resolve as (result: unknown) => void, reject })
        child.send({ id: asked, name: String(name), given } satisfies Question, (error) => error && reject(error))
      }),
    stop: () => child.kill('SIGKILL'),
  }
}
