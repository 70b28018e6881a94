const KIB = 1024

/** A form with this number of values, one of which is a message. */
export function formOf<Form extends FormData | URLSearchParams>(type: new () => Form, values: number): Form {
  const form = new type()
  form.append('message', `one of ${values}`)
  for (let i = 1; i < values; i++) form.append('f', 'x')
  return form
}

export function multipart(boundary: string): string {
  return `--${boundary}\r\nContent-Disposition: form-data; name="message"\r\n\r\nin parts\r\n--${boundary}--\r\n`
}

export function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** A body of a few bytes more than 64 KiB that arrives in pieces without a Content-Length. */
export function unannounced(begin = ''): ReadableStream<Uint8Array> {
  // The last bytes are those that exceed 64 KiB: a server that refuses at once and closes would break off a client that still writes.
  let left = 5
  return new ReadableStream({
    pull(controller) {
      if (left-- === 5) controller.enqueue(new TextEncoder().encode(begin || ' '))
      else if (left >= 0) controller.enqueue(new Uint8Array(16 * KIB).fill(32))
      else controller.close()
    },
  })
}
