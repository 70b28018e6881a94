/** Declares the parts of `@cloudflare/vitest-plugin` that are used inside workerd; its own types need a second set of globals. */
declare module 'cloudflare:test' {
  export const env: { HUBS: { newUniqueId(): unknown; get(id: unknown): unknown } }
  export function runInDurableObject<Instance, State, T>(
    object: unknown,
    call: (instance: Instance, state: State) => T | Promise<T>,
  ): Promise<T>
}
