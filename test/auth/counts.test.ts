import { expect, test } from 'vitest'
import { Bodies } from '../../src/auth/bodies.ts'
import { OpenCounts } from '../../src/auth/counts.ts'

test('a stream that is taken off a count twice makes room for one other', () => {
  const counts = new OpenCounts('too_many_readers', 'open a stream')
  const add = () => counts.add('ann', 2, 'by this grant')
  const release = add()
  add()
  expect(add).toThrow('Cannot open a stream: 2 are open by this grant')
  release()
  release()
  add()
  expect(add).toThrow('Cannot open a stream: 2 are open by this grant')
})

test('a streamed body that one limit refuses takes no room of the others', () => {
  const bodies = new Bodies({ max: 3, maxPerAddress: 2, maxPerToken: 1 })
  const release = bodies.add('192.0.2.1', 'ann')
  for (let i = 0; i < 5; i++)
    expect(() => bodies.add('192.0.2.1', 'ann')).toThrow('Cannot read another streamed body: 1 are open by this grant')
  bodies.add('192.0.2.1', 'bob')
  expect(() => bodies.add('192.0.2.1', 'cy')).toThrow('Cannot read another streamed body: 2 are open from your address')
  release()
  bodies.add('192.0.2.1', 'ann')
})
