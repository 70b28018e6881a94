/** Declares the parts of `@cloudflare/vitest-plugin` that are used inside workerd; its own types need a second set of globals. */
declare module 'cloudflare:test' {
  interface Objects {
    newUniqueId(): unknown
    idFromName(name: string): unknown
    get(id: unknown): Stub
  }
  interface Stub {
    fetch(request: Request): Promise<Response>
  }
  export const env: { HUBS: Objects; BROKEN: Objects }
  export function createMessageBatch(queue: string, messages: readonly object[]): object
  /** Ends the instance of an object and keeps its storage. */
  export function evictDurableObject(object: Stub): Promise<void>
  export function runInDurableObject<Instance, State, T>(
    object: unknown,
    call: (instance: Instance, state: State) => T | Promise<T>,
  ): Promise<T>
}
