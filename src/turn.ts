/** Runs `task` when the current turn of the event loop has handled what had arrived; the browser-shaped runtimes get a timer. */
export const afterTurn: (task: () => void) => void =
  typeof setImmediate === 'function' ? (task) => void setImmediate(task) : (task) => void setTimeout(task, 0)

/** Resolves in a later turn. */
export function nextTurn(): Promise<void> {
  return new Promise(afterTurn)
}
