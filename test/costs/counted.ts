/**
 * What the platform bills a hub for, counted by `test/log/object.test.ts` (rows and bytes) and `test/adapters/forward.test.ts` (requests).
 */
export const counted = {
  /** Rows that a publish writes. */
  rows: 3,
  /** Rows that a publish writes at the bound of the retention, where each event takes the place of an old one. */
  rowsAtBound: 4,
  /** Most rows that a publish reads, also at the bound of the retention. */
  rowsRead: 20,
  /** Most bytes that an event with 200 bytes of data takes in the database. */
  bytes: 300,
  /** Requests to objects for one request to the Worker. */
  objectRequests: 1,
}
