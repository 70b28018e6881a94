/** The part of the platform's module that we use. Its own types need another set of globals than those of Node. */
declare module 'cloudflare:workers' {
  export abstract class DurableObject<Env = unknown> {
    protected readonly env: Env
    constructor(state: unknown, env: Env)
  }
}
