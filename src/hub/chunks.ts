/** A stream that is pulled. */
interface Pulled {
  /** Called when `read` may return something again. */
  onReady: () => void
  readonly ended: boolean
  read(): Uint8Array | undefined
  close(): void
}

/** Yields the chunks of a stream until it ends. Leaving the loop closes the stream. */
export async function* chunksOf(stream: Pulled): AsyncGenerator<Uint8Array, void, undefined> {
  const ready = (resolve: () => void) => {
    stream.onReady = resolve
  }
  try {
    while (!stream.ended) {
      const bytes = stream.read()
      if (bytes) yield bytes
      else if (!stream.ended) await new Promise<void>(ready)
    }
  } finally {
    stream.close()
  }
}
