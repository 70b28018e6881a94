import { expect, test } from 'vitest'
import { AppError, type Code, statuses } from '../src/errors.ts'

test('errors of the hub that pass are temporary: all of 429 and 503, but not the rate of a client or an unknown outcome', () => {
  const codes = Object.keys(statuses) as Code[]
  const temporary = codes.filter((code) => new AppError(code, '').isTemporary)
  expect(temporary.toSorted()).toEqual(
    codes
      .filter((code) => [429, 503].includes(statuses[code]))
      .filter((code) => !['rate_limited', 'outcome_unknown'].includes(code))
      .toSorted(),
  )
})
