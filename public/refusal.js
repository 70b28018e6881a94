/**
 * EventSource hides why it was refused, so this requests the same address once more.
 * Returns `{ status, detail, code }`; detail and code are empty if the stream works again, and the status is 0 if the server does not answer.
 */
export async function readRefusal(hub, address) {
  const controller = new AbortController()
  const timeout = setTimeout(() => controller.abort(), 5_000)
  try {
    const headers = { accept: 'text/event-stream' }
    const { status } = await hub.request(address, { headers, signal: controller.signal })
    return { status, detail: '', code: '' }
  } catch ({ status, message, code }) {
    return status ? { status, detail: message, code } : { status: 0, detail: '', code: '' }
  } finally {
    clearTimeout(timeout)
    controller.abort()
  }
}
