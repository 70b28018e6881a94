/** Dispatches an event as a browser does. Node has neither a location nor `addEventListener`, so a test that imports this plays them. */
export function wake(type: string): void {
  for (const listener of listeners.get(type) ?? []) listener({ type })
}

const listeners = new Map<string, Set<(event: { type: string }) => void>>()
Object.assign(globalThis, {
  location: { href: 'http://page.example/' },
  addEventListener: (type: string, listener: () => void) =>
    listeners.set(type, (listeners.get(type) ?? new Set()).add(listener)),
  removeEventListener: (type: string, listener: () => void) => listeners.get(type)?.delete(listener),
})
