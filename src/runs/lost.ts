import { AppError } from '../errors.ts'

/** Whether an error says that a run is no longer that of its producer: another one has claimed the topic, or the run has ended. */
export function isLost(error: unknown): error is AppError {
  return error instanceof AppError && (error.code === 'run_lost' || error.code === 'topic_closed')
}
