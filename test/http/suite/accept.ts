import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests what `/event` makes of `Accept` (RFC 9110, 12.5.1). */
export function accept({ group, fetch, freshTopic, publish, stream, expectProblem, it, everywhere }: Client): void {
  group('/event', () => {
    const STREAMS = [
      '*/*',
      'text/event-stream',
      'TEXT/Event-Stream',
      'text/*',
      'application/json, text/event-stream', // equal qualities: MCP clients send both
      'text/event-stream, application/json',
      'application/json;q=0.9, text/event-stream',
      'application/json;q=0.5, */*',
      'application/json;q=0, */*;q=0.1',
      'application/json;q=0',
      'text/event-stream;q=0.2, application/*;q=0.1',
      'text/html', // neither is acceptable
      'application/problem+json',
      'text/event-stream;charset=utf-8, application/json;q=0.9',
    ]
    const POLLS = [
      'application/json',
      'Application/JSON',
      'application/json, text/plain, */*', // axios
      'application/*',
      'text/html, application/json;q=0.2',
      'text/event-stream;q=0.5, application/json',
      'text/event-stream; q=0.50 ,application/* ; q=0.6',
      'text/event-stream;q=0, application/json;q=0.001',
      '*/*, text/*;q=0.3',
      'text/event-stream;q=0, */*',
      'application/json;charset=utf-8',
      'application/vnd.x;a="text/event-stream", application/json',
    ]

    everywhere('streams, or answers a poll with JSON, as the qualities of Accept say', async () => {
      const topic = freshTopic()
      await publish(topic, 'x')
      for (const accept of STREAMS) {
        const { response, close } = await stream(`/event?topic=${topic}&last=1`, { accept })
        expect([accept, response.headers.get('content-type')]).toEqual([accept, 'text/event-stream; charset=utf-8'])
        close()
      }
      for (const accept of POLLS) {
        const response = await fetch(`/event?topic=${topic}&last=1`, { headers: { accept } })
        expect([accept, response.headers.get('content-type')]).toEqual([accept, 'application/json'])
        expect(response.headers.get('vary')).toBe('Accept')
      }
    })

    it('refuses with application/problem+json, whatever Accept says', async () => {
      for (const accept of ['text/event-stream', 'application/json', 'text/html', '*/*;q=0'])
        await expectProblem(await fetch('/event?topics=a', { headers: { accept } }), 400, 'parameter_unknown')
    })
  })
}
