/** What a hub tells of itself to who runs it. Each is called synchronously and must not throw. */
export interface HubEvents {
  /**
   * Something failed that its readers see only as an end or a refusal. Told again after five seconds if it still fails.
   *
   * @param what a sentence without an end mark, `Cannot …`
   */
  readonly failed?: (what: string, cause: unknown) => void
}
