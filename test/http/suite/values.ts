import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests JSON values, delivered as they were written. */
export function values({ group, freshTopic, post, stream, it }: Client): void {
  group('topics', () => {
    const DATA_AS_WRITTEN: [string, string][] = [
      ['{ "a" : [ 1, null ,"x y" ]\t}', '{"a":[1,null,"x y"]}'],
      ['[]', '[]'],
      ['[ ]', '[]'],
      ['5', '5'],
      ['true', 'true'],
      ['null', 'null'],
      ['"{\\"a\\": 1}"', '{"a": 1}'],
      ['"\\u0041\\n"', 'A\n'],
      ['154284075601887489', '154284075601887489'],
      [
        '{"id":154284075601887489,"price":1.0,"tiny":-0,"exp":1E+2}',
        '{"id":154284075601887489,"price":1.0,"tiny":-0,"exp":1E+2}',
      ],
      ['{"b":1,"2":2,"a":3,"1":4,"b":5}', '{"b":1,"2":2,"a":3,"1":4,"b":5}'],
      ['["\\u0041\\/\\ud83d\\ude00", " \\" : \\\\", "é😀"]', '["\\u0041\\/\\ud83d\\ude00"," \\" : \\\\","é😀"]'],
    ]
    const asData = (data: string, i: number) =>
      [`{"data":${data}}`, `\r\n { "data": "no", "d\\u0061ta" :\n${data} }`][i % 2]!

    it('deliver any JSON value as it was written, without insignificant whitespace', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      for (const [i, [data]] of DATA_AS_WRITTEN.entries())
        expect((await post(`/send?topic=${topic}`, asData(data, i), 'application/json')).status).toBe(200)
      await reader.gets(...DATA_AS_WRITTEN.map(([, written]) => written))
    })

    it('deliver the JSON values of a list and of NDJSON as they were written', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}/*`)
      const messages = DATA_AS_WRITTEN.map(([data], i) => asData(data, i).replaceAll(/[\r\n]/g, ' '))
      expect((await post(`/send?topic=${topic}/list`, `[${messages.join(' , ')}]`, 'application/json')).status).toBe(
        200,
      )
      expect((await post(`/send?topic=${topic}/lines`, messages.join('\n'), 'application/x-ndjson')).status).toBe(200)
      const written = DATA_AS_WRITTEN.map(([, text]) => text)
      await reader.gets(...written, ...written)
    })
  })
}
