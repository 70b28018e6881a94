/** An object whose constructor throws, as one does whose code or storage is broken. */
export class Broken {
  constructor() {
    throw new Error('The constructor throws')
  }
}

export default { fetch: () => new Response() }
