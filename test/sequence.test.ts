import { expect, test } from 'vitest'
import { Sequence } from '../src/sequence.ts'
import { runs } from './seed.ts'
import { random } from './server/random.ts'

const STEPS = runs(20_000, 500_000)

interface Item {
  readonly seq: number
  readonly says: string
}

test('a sequence equals a sorted list after random pushes, removals and replacements', () => {
  const numbers = random(11)
  const sequence = new Sequence<Item>()
  let model: Item[] = []
  let seq = 0
  for (let step = 0; step < STEPS; step++) {
    const isGrowing = step % 2000 < 1200 // so that the sequence is sometimes long and sometimes empty
    const act = numbers.whole(0, 9)
    const [first] = model
    if (isGrowing ? act < 6 : act < 2) {
      const between = model.findLastIndex((item, i) => item.seq - (model[i - 1]?.seq ?? 0) > 1)
      if (between >= 0 && act === 0) {
        const item = { seq: model[between]!.seq - 1, says: 'inserted' }
        sequence.insert(item)
        model.splice(between, 0, item)
        continue
      }
      seq += numbers.whole(1, 3)
      const item = { seq, says: 'new' }
      sequence.push(item)
      model.push(item)
    } else if (act < 8 && first) {
      if (numbers.whole(0, 1) === 0) expect(sequence.shift()).toBe(first)
      else sequence.remove(first.seq)
      model = model.slice(1)
    } else if (act === 8 && first) {
      const { seq: anywhere } = model[numbers.whole(0, model.length - 1)]!
      sequence.remove(anywhere)
      model = model.filter((item) => item.seq !== anywhere)
    } else if (first) {
      const at = numbers.whole(0, model.length - 1)
      const item = { seq: model[at]!.seq, says: 'other' }
      sequence.replace(item)
      model[at] = item
    }
    if (step % 10 > 0) continue
    const somewhere = numbers.whole(0, seq + 1)
    const later = model.filter((item) => item.seq > somewhere)
    const earlier = model.filter((item) => item.seq < somewhere).reverse()
    expect(sequence.size).toBe(model.length)
    expect([sequence.last(), sequence.last(1)]).toEqual([model.at(-1), model.at(-2)])
    expect(sequence.get(somewhere)).toBe(model.find((item) => item.seq === somewhere))
    expect([...sequence.after(somewhere)]).toEqual(later)
    expect(sequence.firstAfter(somewhere, 5)).toEqual(later.slice(0, 5))
    expect(sequence.lastBefore(somewhere, 5)).toEqual(earlier.slice(0, 5))
  }
})
