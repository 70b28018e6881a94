import { beforeEach } from 'vitest'

/** Not the clock of a test that sets it. */
const { now } = Date
/** The time, in s since 1970, after which no test begins any more; without one, all tests run. */
const until = Number(process.env.TESTS_UNTIL ?? Number.POSITIVE_INFINITY)

beforeEach(({ skip }) => {
  skip(now() > 1000 * until, 'the time of this run is over: npm run test:all takes its time')
})
