/** Reads until the stream ends or fails. */
export async function readUntilEnd(
  stream: ReadableStream<string> | null | undefined,
): Promise<{ seen: string; error?: unknown }> {
  let seen = ''
  try {
    for await (const chunk of stream!) seen += chunk
    return { seen }
  } catch (error) {
    return { seen, error }
  }
}
