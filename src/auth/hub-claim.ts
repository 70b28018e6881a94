/** Which hub this is, if several share their keys. */
export interface HubName {
  /** Undefined for a hub without a name, which no credentials can name. */
  readonly name: string | undefined
  /** Whether credentials have to name the hub. Otherwise those that name none are accepted too. */
  readonly isRequired: boolean
}

/** Whether credentials that name this hub, or none, are for a hub. A hub that has no name takes only those that name none. */
export function isForHub(named: string | undefined, hub: HubName | undefined): boolean {
  if (named === undefined) return !hub?.isRequired
  return named === hub?.name
}
